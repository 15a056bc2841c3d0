# What gets out of a container: a line for each try, `NAME out` or `NAME refused`.
# What begins with `may-` is allowed. probe.pl NEIGHBOUR GATEWAY HOST-PORT OPEN-PORT FREE: the address of another container of its network, which passes
# packets on, and the gateway's; ports of the host's own address, the second of which is allowed by its name; 1 where all of it should get out. The
# container's root has NET_ADMIN and NET_RAW.
# Once `change` is in /state, the list becomes another, and `changed` follows.
use strict;
use warnings;
use IO::Select;
use IO::Socket::IP;
use Socket qw(inet_aton inet_pton pack_sockaddr_in pack_sockaddr_in6 AF_INET AF_INET6 SOCK_DGRAM SOCK_RAW SOCK_STREAM);

my ($neighbour, $gateway, $host_port, $open_port, $free) = @ARGV;
my $server = "169.254.1.1";
my $near = $gateway =~ s/\d+$//r;
$| = 1;
$SIG{PIPE} = "IGNORE";

# What should get out is tried more than once, on a host that may be slow; what should not has one try.
sub told {
    my ($name, $try) = @_;
    my $out = $try->();
    for (1 .. 6) {
        last if $out || !($free || $name =~ /^may-/);
        learn();
        $out = $try->();
    }
    print "$name ", ($out ? "out" : "refused"), "\n";
}

sub heard {
    my ($socket, $patience) = @_;
    return undef unless IO::Select->new($socket)->can_read($patience);
    my $from = recv($socket, my $bytes, 65535, 0);
    return defined $from && length $bytes ? $bytes : undef;
}

sub stream {
    my ($ip, $port, $hello) = @_;
    my $socket = IO::Socket::IP->new(PeerHost => $ip, PeerPort => $port, Type => SOCK_STREAM, Timeout => 4) or return 0;
    syswrite($socket, $hello) if defined $hello;
    my $said = heard($socket, 4);
    return defined $said;
}

sub datagram {
    my ($ip, $port, $bytes) = @_;
    my $socket = IO::Socket::IP->new(PeerHost => $ip, PeerPort => $port, Type => SOCK_DGRAM) or return 0;
    for (1 .. 2) {
        defined(send($socket, $bytes, 0)) or return 0;
        return 1 if defined heard($socket, 1);
    }
    return 0;
}

sub wire { join("", map { chr(length) . $_ } split(/\./, shift)) . "\0" }

sub query { my ($name, $type) = @_; pack("n6", 7, 0x100, 1, 0, 0, 0) . wire($name) . pack("nn", $type, 1) }

# The code of an answer, and whether it has records.
sub ask {
    my ($name, $type, $tcp) = @_;
    my %to = (PeerHost => $server, PeerPort => 53, Timeout => 4);
    my $socket = IO::Socket::IP->new(%to, Type => $tcp ? SOCK_STREAM : SOCK_DGRAM) or return 0;
    my $query = query($name, $type);
    send($socket, $tcp ? pack("n", length $query) . $query : $query, 0);
    my $said = heard($socket, 6) or return 0;
    $said = substr($said, 2) if $tcp;
    my (undef, $flags, undef, $answers) = unpack("n4", $said);
    return ($flags & 15) == 0 && $answers > 0;
}

sub sum {
    my ($bytes) = @_;
    $bytes .= "\0" if length($bytes) % 2;
    my $sum = 0;
    $sum += $_ for unpack("n*", $bytes);
    $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
    return ~$sum & 0xffff;
}

my $pings = $$ & 0x7fff;

sub ping {
    my ($ip) = @_;
    my $four = $ip !~ /:/;
    # pasta of 2023 knows a conversation by this number alone.
    my $id = ++$pings;
    my $head = pack("CCnnn", $four ? 8 : 128, 0, 0, $id, 1);
    $head = pack("CCnnn", 8, 0, sum($head), $id, 1) if $four;
    socket(my $socket, $four ? AF_INET : AF_INET6, SOCK_RAW, $four ? 1 : 58) or return 0;
    my $to = $four ? pack_sockaddr_in(0, inet_aton($ip)) : pack_sockaddr_in6(0, inet_pton(AF_INET6, $ip));
    my $want = $four ? 0 : 129;
    for (1 .. 2) {
        send($socket, $head, 0, $to) or return 0;
        my $end = time + 2;
        while (time < $end) {
            my $said = heard($socket, 1) or last;
            return 1 if ord(substr($said, $four ? 20 : 0, 1)) == $want;
        }
    }
    return 0;
}

# A datagram with another's address as its source; whether it has arrived is for the outside to say.
sub forged {
    my ($source, $ip, $port, $bytes) = @_;
    my $udp = pack("nnnn", 4444, $port, 8 + length $bytes, 0) . $bytes;
    my $head = pack("CCnnnCCna4a4", 0x45, 0, 20 + length $udp, 1, 0, 64, 17, 0, inet_aton($source), inet_aton($ip));
    # IPPROTO_RAW: the header is given.
    socket(my $socket, AF_INET, SOCK_RAW, 255) or die "raw: $!";
    send($socket, $head . $udp, 0, pack_sockaddr_in(0, inet_aton($ip)));
}

sub with {
    my ($set, $unset, $try) = @_;
    return sub {
        system($_) == 0 or die "$_: $?" for @$set;
        my $out = $try->();
        system($_) for @$unset;
        return $out;
    };
}

# What is allowed is asked for first, so that its addresses are open where they may be.
sub learn { ask($_, 1) && ask($_, 28) for qw(allowed.test sub.wild.test) }

learn();

told("may-name", sub { stream("192.0.2.10", 443) });
told("may-name6", sub { stream("2001:db8::10", 443) });
told("may-name-udp", sub { datagram("192.0.2.10", 443, "quic") });
told("may-below-a-domain", sub { stream("192.0.2.14", 80) });
told("may-range", sub { stream("192.0.2.20", 80) });
told("may-range-last", sub { stream("192.0.2.21", 80) });
told("may-range6", sub { stream("2001:db8::20", 80) });
told("may-alias", sub { ask("staying.test", 1) });
told("may-name-tcp", sub { ask("allowed.test", 1, 1) });
told("may-neighbour", sub { ping($neighbour) });

told("tcp-forbidden-80", sub { stream("192.0.2.11", 80) });
told("tcp-forbidden-443", sub { stream("192.0.2.11", 443) });
told("tcp-allowed-other-port", sub { stream("192.0.2.10", 80) });
told("tcp-range-other-port", sub { stream("192.0.2.20", 443) });
told("tcp-beside-the-range", sub { stream("192.0.2.22", 80) });
told("tcp-other-resolver", sub { stream("192.0.2.53", 53, pack("n", length query("leak.test", 1)) . query("leak.test", 1)) });
told("dot-other-resolver", sub { stream("192.0.2.53", 853) });
told("dot-allowed-host", sub { stream("192.0.2.10", 853) });
told("tcp-the-host", sub { stream("10.9.9.1", $host_port) });
told("tcp-the-host-by-name", sub { stream("169.254.1.2", $host_port) });
told("tcp6-forbidden-80", sub { stream("2001:db8::11", 80) });
told("tcp6-forbidden-443", sub { stream("2001:db8::11", 443) });
told("tcp6-allowed-other-port", sub { stream("2001:db8::10", 80) });
told("tcp6-beside-the-range", sub { stream("2001:db8::22", 80) });
told("tcp6-other-resolver", sub { stream("2001:db8::53", 53, pack("n", length query("leak.test", 1)) . query("leak.test", 1)) });
told("dot6-other-resolver", sub { stream("2001:db8::53", 853) });
told("udp-forbidden", sub { datagram("192.0.2.11", 9, "udp") });
told("udp-quic", sub { datagram("192.0.2.11", 443, "quic") });
told("udp-allowed-other-port", sub { datagram("192.0.2.10", 9, "udp") });
told("udp-other-resolver", sub { datagram("192.0.2.53", 53, query("leak.test", 1)) });
told("udp6-forbidden", sub { datagram("2001:db8::11", 9, "udp") });
told("udp6-other-resolver", sub { datagram("2001:db8::53", 53, query("leak.test", 1)) });
told("icmp-forbidden", sub { ping("192.0.2.11") });
told("icmp-allowed-host", sub { ping("192.0.2.10") });
told("icmp6-forbidden", sub { ping("2001:db8::11") });
told("dns-other-name", sub { ask("forbidden.test", 1) });
told("dns-other-name-tcp", sub { ask("forbidden.test", 1, 1) });
told("dns-other-name-aaaa", sub { ask("forbidden.test", 28) });
told("dns-other-name-txt", sub { ask("secret.leak.test", 16) });
told("dns-reverse", sub { ask("11.2.0.192.in-addr.arpa", 12) });
told("dns-domain-itself", sub { ask("wild.test", 1) });
told("dns-lookalike", sub { ask("xwild.test", 1) });
told("dns-below-a-name", sub { ask("sub.allowed.test", 1) });
told("dns-domain-within-another", sub { ask("wild.test.evil.test", 1) });
told("dns-alias-of-another", sub { ask("leaving.test", 1) });
told("dns-alias-of-another-tcp", sub { ask("leaving.test", 1, 1) });

# As root with NET_ADMIN and NET_RAW.
my $forbidden = sub { stream("192.0.2.11", 80) };
told("root-other-mac", with(
    ["ip link set eth0 address 02:42:aa:bb:cc:dd"], [], $forbidden));
told("root-other-address", with(
    ["ip addr add ${near}77/24 dev eth0"], ["ip addr del ${near}77/24 dev eth0"],
    sub { system("ip route replace 192.0.2.11/32 via $gateway src ${near}77"); my $out = $forbidden->(); system("ip route del 192.0.2.11/32"); $out }));
told("root-past-the-gateway", with(
    ["ip route replace 192.0.2.11/32 via $neighbour"], ["ip route del 192.0.2.11/32"], $forbidden));
told("root-fragments", with(
    ["ip link set eth0 mtu 1300"], ["ip link set eth0 mtu 65520"],
    sub { datagram("192.0.2.11", 9, "fragments" . "x" x 3000) }));
for (1 .. 3) {
    forged($neighbour, "192.0.2.11", 9, "forged-neighbour");
    forged("${near}99", "192.0.2.11", 9, "forged-nobody");
    forged($neighbour, $server, 53, query("forged.leak.test", 1));
}

# A name that is somewhere else from now on: its old address goes with the answer's time, an open connection stays.
my $moving;
told("may-moving", sub {
    ask("moving.test", 1);
    $moving = IO::Socket::IP->new(PeerHost => "192.0.2.12", PeerPort => 80, Type => SOCK_STREAM, Timeout => 4);
    $moving && defined heard($moving, 4);
});
open(my $moved, ">", "/state/moved") or die "moved: $!";
my $new = sub { ask("moving.test", 1) && stream("192.0.2.13", 80) };
told("may-moved", $new);
told("tcp-moved-name", sub {
    for (1 .. 16) {
        stream("192.0.2.12", 80) or return 0;
        select(undef, undef, undef, 0.5);
    }
    return 1;
});
told("may-open-connection", sub { $moving && syswrite($moving, "again") && heard($moving, 4) });

# The list changes: what it does not name any more carries nothing, in either direction, and what it names goes on.
sub opened {
    my ($ip, $port, $hello) = @_;
    my $socket = IO::Socket::IP->new(PeerHost => $ip, PeerPort => $port, Type => SOCK_STREAM, Timeout => 20) or die "$ip $port: $@";
    syswrite($socket, $hello) if defined $hello;
    defined heard($socket, 20) or die "$ip $port says nothing";
    return $socket;
}

sub carries { my ($socket) = @_; return syswrite($socket, "again") && defined heard($socket, 2) }

# What was on its way is no answer.
sub goes_on {
    my ($socket) = @_;
    while (IO::Select->new($socket)->can_read(0)) { sysread($socket, my $bytes, 65535) or return 0 }
    select(undef, undef, undef, 0.5);
    while (IO::Select->new($socket)->can_read(0)) { sysread($socket, my $bytes, 65535) or return 0 }
    return defined heard($socket, 1.5);
}

ask($_, 1) for qw(allowed.test sub.wild.test);
my ($cut, $cut6, $root) = (opened("192.0.2.20", 80), opened("2001:db8::20", 80), opened("192.0.2.21", 80));
my ($ticks, $ticks6) = (opened("192.0.2.20", 80, "tick"), opened("2001:db8::20", 80, "tick"));
my $host = opened("169.254.1.2", $open_port, "hello");
my $named = opened("192.0.2.14", 80);
my $kept = opened("192.0.2.10", 443);
my @flows = map { IO::Socket::IP->new(PeerHost => $_, PeerPort => 443, Type => SOCK_DGRAM) } "192.0.2.14", "192.0.2.10";
for (@flows) { send($_, "quic", 0); defined heard($_, 20) or die "no flow" }
told("may-tick", sub { goes_on($ticks) && goes_on($ticks6) });
open(my $change, ">", "/state/change") or die "change: $!";
for (1 .. 300) { last if -e "/state/changed"; select(undef, undef, undef, 0.1) }
-e "/state/changed" or die "nothing has changed";

# Before anything is sent, so that it is not the answer to that.
told("changed-tcp-said", sub { goes_on($ticks) });
told("changed-tcp6-said", sub { goes_on($ticks6) });
told("changed-tcp-open", sub { carries($cut) });
told("changed-tcp6-open", sub { carries($cut6) });
told("changed-tcp-open-by-name", sub { carries($named) });
told("changed-tcp-open-to-the-host", sub { carries($host) });
told("changed-udp-open", sub { send($flows[0], "quic", 0) && defined heard($flows[0], 2) });
told("changed-tcp", sub { stream("192.0.2.20", 80) });
told("changed-tcp-by-name", sub { stream("192.0.2.14", 80) });
told("changed-dns", sub { ask("sub.wild.test", 1) });
told("root-changed-tcp-open", with(
    ["ip link set eth0 address 02:42:aa:bb:cc:ee", "ip route flush cache"], [], sub { carries($root) || carries($root) }));
told("may-changed-tcp-open", sub { carries($kept) });
told("may-changed-udp-open", sub { send($flows[1], "quic", 0) && heard($flows[1], 2) });
# Its address has gone with the answer's time, and its name is in the new list.
told("may-changed-moved-open", sub { carries($moving) });
told("may-changed-tcp", sub { stream("192.0.2.10", 443) });
told("may-changed-new", sub { stream("192.0.2.22", 80) });
