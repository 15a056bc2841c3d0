# Small questions, one after the other.
#   asker.pl serve PORT            answers every connection with a line
#   asker.pl http ADDRESS PORT N   N connections, a question and an answer each; prints the ms they took and how many failed
#   asker.pl names N NAME...       asks the first name server of /etc/resolv.conf N times in turn; prints the median and the
#                                  longest ms, and how many had no answer
use strict;
use warnings;
use IO::Socket::INET;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

sub now { return clock_gettime(CLOCK_MONOTONIC) * 1000 }

my ($what, @words) = @ARGV;
if ($what eq 'serve') {
    my $listener = IO::Socket::INET->new(LocalPort => $words[0], Listen => 128, ReuseAddr => 1) or die "listen: $!\n";
    while (my $client = $listener->accept) {
        sysread $client, my $question, 4096;
        syswrite $client, "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
        close $client;
    }
}
if ($what eq 'http') {
    my ($address, $port, $count) = @words;
    my ($failed, $began) = (0, now());
    for (1 .. $count) {
        my $server = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Timeout => 5);
        my $answer = '';
        if ($server) {
            syswrite $server, "GET / HTTP/1.0\r\n\r\n";
            sysread $server, $answer, 4096;
        }
        $failed++ unless $answer =~ /ok$/;
    }
    printf "%.1f %d\n", now() - $began, $failed;
}
if ($what eq 'names') {
    my ($count, @names) = @words;
    open my $file, '<', '/etc/resolv.conf' or die "resolv.conf: $!\n";
    my ($server) = join('', <$file>) =~ /^nameserver\s+(\S+)/m;
    my $socket = IO::Socket::INET->new(PeerAddr => $server, PeerPort => 53, Proto => 'udp') or die "socket: $!\n";
    my ($failed, @times) = (0);
    for my $number (1 .. $count) {
        my $name = $names[$number % @names];
        my $began = now();
        $socket->send(pack('n6', $number, 0x100, 1, 0, 0, 0) . pack('C/a* x n2', $name, 1, 1));
        my $bits = '';
        vec($bits, fileno $socket, 1) = 1;
        my $answer = '';
        $socket->recv($answer, 512) if select $bits, undef, undef, 2;
        push @times, now() - $began;
        # One answer, and no error.
        $failed++ unless length $answer > 12 && (unpack 'n4', $answer)[3] == 1;
    }
    @times = sort { $a <=> $b } @times;
    printf "%.3f %.3f %d\n", $times[@times / 2], $times[-1], $failed;
}
