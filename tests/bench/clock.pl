# clock.pl RUNS GROUP LABEL [@before=SHELL] [NAME=VALUE]... COMMAND [ARGUMENT]... [--- LABEL ...]...
#
# Runs the commands in turn, RUNS times round, and prints for each, separated by tabs:
#   label, median and least wall ms, median CPU ms, largest process (KiB), largest sum of the tree's memory (KiB), failures
#
# Wall time is from just before the command's exec until it has ended. CPU time is that of a cgroup below GROUP in which the command
# and all that it leaves behind run, read when that is empty again: what goes on in the background is paid too, and never
# disturbs the next command. Where a daemon is in that cgroup before the command begins, it is read when the daemon rests.
# "@N@" in an argument is the number of the round. What @before names is run by a shell before each round of that command, and costs
# nothing. In the environment
# BRYO_BENCH_SAMPLE=1 watches the tree's memory, BRYO_BENCH_COLD=1 leaves out the first round that is not counted, and
# BRYO_BENCH_SYNC=1 writes out first what the command before has left unwritten.
use strict;
use warnings;
use POSIX qw(_exit :sys_wait_h);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);

my ($runs, $group, @words) = @ARGV;
die "clock.pl: nothing to run\n" unless @words;
my $sample = $ENV{BRYO_BENCH_SAMPLE};
my $own = "$group/session";

my @commands = ([]);
for (@words) {
    if   ($_ eq '---') { push @commands, [] }
    else               { push @{ $commands[-1] }, $_ }
}
my @tools = map { { label => shift @$_, words => $_, wall => [], cpu => [], largest => 0, tree => 0, failed => 0 } } @commands;

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    my $text = <$file>;
    return defined $text ? $text : '';
}

sub cpu_us { return slurp("$_[0]/cpu.stat") =~ /^usage_usec (\d+)/m ? $1 : 0 }

# Anonymous memory of all processes of a cgroup and below.
sub tree_kib {
    my ($dir) = @_;
    my $sum = 0;
    for my $pid (split ' ', slurp("$dir/cgroup.procs")) {
        $sum += $1 if slurp("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;
    }
    $sum += tree_kib($_) for grep { -d } glob "$dir/*";
    return $sum;
}

# wait4, for the peak of the child and of those it has waited for, which is not in core Perl.
my ($wait4, $sync) = (POSIX::uname())[4] eq 'x86_64' ? (61, 162) : (260, 81);

sub run {
    my ($tool, $round, $warm) = @_;
    my ($first, @rest) = @{ $tool->{words} };
    my @argv = map { s/\@N\@/$round/gr } $first, @rest;
    if ($argv[0] =~ /^\@before=(.*)/s) {
        shift @argv;
        system 'sh', '-c', "{ $1; } >/dev/null 2>&1 </dev/null";
    }
    my $leaf = "$group/run-" . ($tool->{label} =~ s/[^a-z0-9]+/-/gr);
    mkdir $leaf;
    syscall $sync if $ENV{BRYO_BENCH_SYNC};
    my $has_daemon = is_populated($leaf);
    my $before = cpu_us($leaf);
    pipe my $from, my $to or die "clock.pl: pipe: $!\n";
    my $pid = fork // die "clock.pl: fork: $!\n";
    if (!$pid) {
        while (@argv && $argv[0] =~ /^([A-Z_]+)=(.*)/) { $ENV{$1} = $2; shift @argv }
        open my $procs, '>', "$leaf/cgroup.procs" or _exit(125);
        syswrite $procs, $$;
        close $procs;
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>', "$ENV{HOME}/clock.out";
        open STDERR, '>', "$ENV{HOME}/clock.err";
        syswrite $to, sprintf('%.9f', clock_gettime(CLOCK_MONOTONIC));
        exec { $argv[0] } @argv or _exit(124);
    }
    close $to;
    my ($status, $usage, $options) = (pack('i', 0), "\0" x 144, $sample ? WNOHANG : 0);
    while (1) {
        my $got = syscall $wait4, $pid, $status, $options, $usage;
        last if $got == $pid;
        my $kib = tree_kib($leaf);
        $tool->{tree} = $kib if $kib > $tool->{tree};
        sleep 0.01;
    }
    my $end = clock_gettime(CLOCK_MONOTONIC);
    sysread $from, my $start, 64;
    await_rest($leaf) if $has_daemon;
    for (1 .. 3000) {
        last if $has_daemon || !is_populated($leaf);
        sleep 0.002;
    }
    my $cpu = cpu_us($leaf) - $before;
    my $code = unpack 'i', $status;
    if ($code) {
        warn "clock.pl: $tool->{label}: wait status $code: " . slurp("$ENV{HOME}/clock.err") unless $tool->{failed}++;
        return;
    }
    return if $warm;
    my $peak = unpack 'x32 q', $usage; # two timevals, then ru_maxrss
    $tool->{largest} = $peak if $peak > $tool->{largest};
    push @{ $tool->{wall} }, 1000 * ($end - $start);
    push @{ $tool->{cpu} }, $cpu / 1000;
}

sub is_populated { return slurp("$_[0]/cgroup.events") =~ /^populated 1/m }

# Until a tenth of a second has used less than two milliseconds of a processor.
sub await_rest {
    my ($leaf) = @_;
    for (1 .. 100) {
        my $before = cpu_us($leaf);
        sleep 0.1;
        last if cpu_us($leaf) - $before < 2000;
    }
}

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return 0 unless @sorted;
    return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
}

my $warm_up = $ENV{BRYO_BENCH_COLD} ? 0 : 1;
if ($warm_up) { run($_, 'warm', 1) for @tools }
for my $round (1 .. $runs) {
    # Who comes first changes, so that none always follows the same other.
    run($_, $round, 0) for @tools[ map { ($_ + $round) % @tools } 0 .. $#tools ];
}
for my $tool (@tools) {
    my @wall = sort { $a <=> $b } @{ $tool->{wall} };
    printf "%s\t%.2f\t%.2f\t%.2f\t%d\t%d\t%d\n", $tool->{label}, median(@wall), $wall[0] // 0, median(@{ $tool->{cpu} }),
        $tool->{largest}, $tool->{tree}, $tool->{failed};
}
