"""The Cognito trigger. Standard library and boto3 only: the function is this folder and nothing else."""
