"""`python -m tests.worker.console.signup_sync`: the command line as `WorkerProcess` starts programs."""

from worker.__main__ import main

if __name__ == "__main__":
    main()
