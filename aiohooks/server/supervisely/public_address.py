"""Which addresses are somebody's on the internet, and none of this machine or its networks."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

# What `is_global` of Python lets pass, although it leads inside or nowhere (RFC 6890, RFC 6052, RFC 3056, RFC 4380).
_NOT_PUBLIC_4 = [ip_network("192.0.0.0/24")]
_NOT_PUBLIC_6 = [ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]
_UNICAST_6 = IPv6Network("2000::/3")


def is_public(text: str) -> bool:
    """Tell whether a textual IP address is a public one; what is no address is none.

    IPv6 addresses that hold an IPv4 address (mapped, NAT64, 6to4, Teredo) are not: they could lead anywhere.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv6Address):
        return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)
    assert isinstance(address, IPv4Address)
    return not any(address in network for network in _NOT_PUBLIC_4)
