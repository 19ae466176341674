"""Admin hosts: the names under which the admin server may be asked.

A web page can have its reader's browser ask a server in the reader's network, and read the answer, if its name can be
made to lead there (DNS rebinding). The browser then says that name in the header `Host`. So a name is answered only if
whoever makes the page cannot own it: an address of IP is no name, and neither a name of one label nor one of the
domains below can be registered in public DNS.
"""

from collections.abc import Collection
from ipaddress import ip_address

# RFC 6761, 6.3 "localhost."; RFC 6762, 3 "Multicast DNS Names"; SAC113, "SSAC Advisory on Private-Use TLDs", for which
# ICANN reserved .internal in 2024. Kubernetes' cluster.local and EC2's compute.internal are below these.
_PRIVATE_DOMAINS = (".localhost", ".local", ".internal")


def is_allowed(host: str | None, names: Collection[str]) -> bool:
    """Whether to answer a request with this header `Host`; `names`, in lower case, are allowed besides.

    A request without the header is none of a browser's (RFC 9112, 3.2 "Request Target").
    """
    if host is None:
        return True
    name = _without_port(host.strip()).lower().removesuffix(".")
    return name in names or "." not in name or name.endswith(_PRIVATE_DOMAINS) or _is_address(name)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
