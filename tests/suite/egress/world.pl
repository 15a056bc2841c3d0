# The outside of the test: hosts that answer on every address of this network namespace, and a name server.
# world.pl DIRECTORY: `ready` appears in it; `seen` has every datagram, and every name that was asked for; once `moved` is there,
# moving.test is somewhere else. Whoever says `tick` is told something ever after.
use strict;
use warnings;
use IO::Select;
use IO::Socket::IP;
use Socket qw(inet_pton AF_INET AF_INET6 SOCK_DGRAM);

my ($directory) = @ARGV;
open(my $seen, ">>", "$directory/seen") or die "seen: $!";
$seen->autoflush(1);

my @elsewhere = ("192.0.2.14", "2001:db8::14", 60);
my %addresses = (
    "allowed.test" => ["192.0.2.10", "2001:db8::10", 60],
    "forbidden.test" => ["192.0.2.11", "2001:db8::11", 60],
    map { $_ => [@elsewhere] } qw(sub.wild.test wild.test xwild.test sub.allowed.test wild.test.evil.test),
);
my %aliases = ("leaving.test" => "forbidden.test", "staying.test" => "allowed.test");

sub wire { join("", map { chr(length) . $_ } split(/\./, shift)) . "\0" }

sub record {
    my ($owner, $type, $ttl, $data) = @_;
    return $owner . pack("nnNn", $type, 1, $ttl, length $data) . $data;
}

sub answer {
    my ($query) = @_;
    my ($at, @labels) = (12);
    while ((my $length = ord(substr($query, $at, 1))) > 0) {
        push @labels, substr($query, $at + 1, $length);
        $at += 1 + $length;
    }
    my $name = lc join(".", @labels);
    my ($type) = unpack("n", substr($query, $at + 1, 2));
    print $seen "name $name\n";
    my ($owner, $real, @records) = (pack("n", 0xc00c), $name);
    if (my $target = $aliases{$name}) {
        push @records, record($owner, 5, 60, wire($target));
        ($owner, $real) = (wire($target), $target);
    }
    my $found = $addresses{$real};
    $found = [-e "$directory/moved" ? "192.0.2.13" : "192.0.2.12", "2001:db8::12", 1] if $real eq "moving.test";
    push @records, record($owner, 1, $found->[2], inet_pton(AF_INET, $found->[0])) if $found && $type == 1;
    push @records, record($owner, 28, $found->[2], inet_pton(AF_INET6, $found->[1])) if $found && $type == 28;
    push @records, record($owner, 16, 60, "\4text") if $type == 16;
    push @records, record($owner, 12, 60, wire("somebody.test")) if $type == 12;
    my $head = substr($query, 0, 2) . pack("n5", 0x8180, 1, scalar(@records), 0, 0);
    return $head . substr($query, 12, $at - 12 + 5) . join("", @records);
}

$SIG{PIPE} = "IGNORE";
my $select = IO::Select->new;
my %kinds;

sub watch {
    my ($socket, $kind, $port) = @_;
    $kinds{$socket} = [$kind, $port];
    $select->add($socket);
}

# An answer comes from the address that was asked, so there is a socket of each.
for my $ip ("10.9.9.2", map { ("192.0.2.$_", "2001:db8::$_") } 10 .. 14, 20 .. 22, 53) {
    for my $port (9, 53, 443) {
        my $socket = IO::Socket::IP->new(LocalHost => $ip, LocalPort => $port, Type => SOCK_DGRAM) or die "udp $ip $port: $@";
        watch($socket, "datagrams", $port);
    }
}
for my $port (53, 80, 443, 853) {
    my %at = (LocalHost => "::", V6Only => 0, LocalPort => $port);
    my $listener = IO::Socket::IP->new(%at, Listen => 64, ReuseAddr => 1) or die "tcp $port: $@";
    watch($listener, "listener", $port);
}
open(my $ready, ">", "$directory/ready") or die "ready: $!";
close $ready;

my %ticks;

while (1) {
    my @waiting = $select->can_read(%ticks ? 0.1 : undef);
    $_->blocking(0), syswrite($_, "tock\n") for values %ticks;
    for my $socket (@waiting) {
        my ($kind, $port) = @{ $kinds{$socket} };
        if ($kind eq "listener") {
            my $client = $socket->accept or next;
            # Whoever has connected is told so; a name server waits to be asked.
            syswrite($client, "hello\n") if $port != 53;
            watch($client, "client", $port);
        } elsif ($kind eq "datagrams") {
            my $from = recv($socket, my $bytes, 65535, 0);
            next unless defined $from && length $bytes;
            my ($line) = $bytes =~ /\A([ -~]{1,60})/;
            print $seen "datagram $line\n" if $port != 53 && defined $line;
            send($socket, $port == 53 ? answer($bytes) : $bytes, 0, $from);
        } else {
            my $length = sysread($socket, my $bytes, 65535);
            if (!$length) {
                $select->remove($socket);
                delete $ticks{$socket};
                close $socket;
            } elsif ($port == 53) {
                my $said = answer(substr($bytes, 2));
                syswrite($socket, pack("n", length $said) . $said);
            } else {
                $ticks{$socket} = $socket if $bytes eq "tick";
                syswrite($socket, $bytes);
            }
        }
    }
}
