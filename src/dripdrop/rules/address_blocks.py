"""Which addresses are not the public Internet's?

The special-purpose registries of IANA (RFC 6890), each block as they name it, and beside them what the registries of
multicast and of IPv6 address space say:

- https://www.iana.org/assignments/iana-ipv4-special-registry
- https://www.iana.org/assignments/iana-ipv6-special-registry
- https://www.iana.org/assignments/ipv6-address-space

`reachable` is their "Globally Reachable"; where they say N/A, the block is not reachable for us.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network


@dataclass(frozen=True, slots=True)
class Block:
    """One line of a registry."""

    network: IPv4Network | IPv6Network
    name: str
    source: str
    reachable: bool


def _read(text: str) -> tuple[Block, ...]:
    blocks = []
    for line in text.strip().splitlines():
        prefix, said, source, name = line.split(maxsplit=3)
        blocks.append(Block(ip_network(prefix), name, source, said == "yes"))
    return tuple(blocks)


IPV4 = _read("""
0.0.0.0/8           no   RFC791   "This network"
10.0.0.0/8          no   RFC1918  Private-Use
100.64.0.0/10       no   RFC6598  Shared Address Space
127.0.0.0/8         no   RFC1122  Loopback
169.254.0.0/16      no   RFC3927  Link Local
172.16.0.0/12       no   RFC1918  Private-Use
192.0.0.0/24        no   RFC6890  IETF Protocol Assignments
192.0.0.0/29        no   RFC7335  IPv4 Service Continuity Prefix
192.0.0.8/32        no   RFC7600  IPv4 dummy address
192.0.0.9/32        yes  RFC7723  Port Control Protocol Anycast
192.0.0.10/32       yes  RFC8155  Traversal Using Relays around NAT Anycast
192.0.0.170/31      no   RFC8880  NAT64/DNS64 Discovery
192.0.2.0/24        no   RFC5737  Documentation (TEST-NET-1)
192.31.196.0/24     yes  RFC7535  AS112-v4
192.52.193.0/24     yes  RFC7450  AMT
192.88.99.0/24      no   RFC7526  Deprecated (6to4 Relay Anycast)
192.168.0.0/16      no   RFC1918  Private-Use
192.175.48.0/24     yes  RFC7534  Direct Delegation AS112 Service
198.18.0.0/15       no   RFC2544  Benchmarking
198.51.100.0/24     no   RFC5737  Documentation (TEST-NET-2)
203.0.113.0/24      no   RFC5737  Documentation (TEST-NET-3)
224.0.0.0/4         no   RFC5771  Multicast
240.0.0.0/4         no   RFC1112  Reserved
255.255.255.255/32  no   RFC8190  Limited Broadcast
""")

IPV6 = _read("""
::/128              no   RFC4291  Unspecified Address
::1/128             no   RFC4291  Loopback Address
::/96               no   RFC4291  Deprecated (IPv4-compatible Address)
::ffff:0:0/96       no   RFC4291  IPv4-mapped Address
64:ff9b::/96        yes  RFC6052  IPv4-IPv6 Translation
64:ff9b:1::/48      no   RFC8215  IPv4-IPv6 Translation, local use
100::/64            no   RFC6666  Discard-Only Address Block
100:0:0:1::/64      no   RFC9780  Dummy IPv6 Prefix
2001::/23           no   RFC2928  IETF Protocol Assignments
2001::/32           no   RFC4380  TEREDO
2001:1::1/128       yes  RFC7723  Port Control Protocol Anycast
2001:1::2/128       yes  RFC8155  Traversal Using Relays around NAT Anycast
2001:1::3/128       yes  RFC9665  DNS-SD Service Registration Protocol Anycast
2001:2::/48         no   RFC5180  Benchmarking
2001:3::/32         yes  RFC7450  AMT
2001:4:112::/48     yes  RFC7535  AS112-v6
2001:10::/28        no   RFC4843  Deprecated (ORCHID)
2001:20::/28        yes  RFC7343  ORCHIDv2
2001:30::/28        yes  RFC9374  Drone Remote ID Protocol Entity Tags
2001:db8::/32       no   RFC3849  Documentation
2002::/16           no   RFC3056  6to4
2620:4f:8000::/48   yes  RFC7534  Direct Delegation AS112 Service
3fff::/20           no   RFC9637  Documentation
5f00::/16           no   RFC9602  Segment Routing (SRv6) SIDs
fc00::/7            no   RFC4193  Unique-Local
fe80::/10           no   RFC4291  Link-Local Unicast
fec0::/10           no   RFC3879  Deprecated (Site-Local)
ff00::/8            no   RFC4291  Multicast
""")

# Only this part is handed out to the world (RFC 4291, 2.4).
GLOBAL_UNICAST = IPv6Network("2000::/3")
TRANSLATED = IPv6Network("64:ff9b::/96")
# Public by the registries, and answered by the host that one runs on: Azure's agent hands out secrets there.
INSIDE_A_CLOUD = (IPv4Network("168.63.129.16/32"),)
