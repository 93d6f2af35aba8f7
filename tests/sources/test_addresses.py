import pytest

from veo_core.sources.addresses import is_public
from veo_core.sources.policy import DownloadPolicy, check_url, listed


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:93.184.216.34",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "2001:0:4136:e378::1",
        "localhost",
        "0x7f000001",
        "",
    ],
)
def test_address_that_is_no_public_host_is_told(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"])
def test_address_of_a_public_host_is_told(address):
    assert is_public(address)


@pytest.mark.parametrize(
    ("host", "port", "allowed"),
    [
        ("cdn.example.com", 443, True),
        ("cdn.example.com", 8443, False),
        ("deep.cdn.example.org", 443, True),
        ("example.org", 443, False),
        ("badexample.org", 443, False),
        ("own.test", 8443, True),
        ("own.test", 443, False),
        ("::1", 8080, True),
    ],
)
def test_hosts_are_allowed_by_name_with_the_port_that_is_meant(host, port, allowed):
    assert listed(host, port, ["CDN.example.com", "*.example.org", "own.test:8443", "[::1]:8080"]) is allowed


def test_host_is_compared_in_the_form_that_dns_is_asked_for():
    policy = DownloadPolicy(allowed_hosts=["xn--bcher-kva.example", "cdn.example.com"])
    assert check_url("https://bücher.example/a.mp4", policy).host == "bücher.example"
    assert check_url("https://CDN.EXAMPLE.com./a.mp4", policy)
