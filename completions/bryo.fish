# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_bryo_global_optspecs
    string join \n config= D/debug l/log-level= v/version help
end

function __fish_bryo_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_bryo_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_bryo_using_subcommand
    set -l cmd (__fish_bryo_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c bryo -n "__fish_bryo_needs_command" -l config -d 'Directory of the client\'s files (config.json with registry credentials)' -r -F
complete -c bryo -n "__fish_bryo_needs_command" -s l -l log-level -d 'Logging level: debug, info, warn, error, fatal' -r
complete -c bryo -n "__fish_bryo_needs_command" -s D -l debug -d 'Write a line per step to standard error'
complete -c bryo -n "__fish_bryo_needs_command" -s v -l version -d 'Print the version and quit'
complete -c bryo -n "__fish_bryo_needs_command" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "run" -d 'Make and start a container from an image'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "create" -d 'Make a container from an image without starting it'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "attach" -d 'Take part in the streams of a running container'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "exec" -d 'Execute a program in a running container'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "start" -d 'Start stopped containers'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "stop" -d 'Stop running containers'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "restart" -d 'Stop containers and start them again'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "pause" -d 'Freeze all processes of running containers'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "unpause" -d 'Let the processes of paused containers go on'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "update" -d 'Change the settings of containers, also of running ones'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "kill" -d 'Send a signal to running containers'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "rm" -d 'Remove containers'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "remove" -d 'Remove containers'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "logs" -d 'Show what a container wrote'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "cp" -d 'Copy files between a container and the host'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "diff" -d 'Show what a container changed in its files'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "export" -d 'Write a container\'s root filesystem as a tar archive'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "commit" -d 'Make an image of what a container has become'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "mount" -d 'Run a command where a container\'s root is mounted'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "wait" -d 'Wait until containers stop, then print their exit codes'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "top" -d 'Show the processes of a container'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "stats" -d 'Show what running containers use'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "rename" -d 'Give a container another name'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "port" -d 'Show which ports of the host lead into a container'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "ps" -d 'List containers'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "images" -d 'List images'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "rmi" -d 'Remove one or more images'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "build" -d 'Make an image of a Dockerfile'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "pull" -d 'Download an image from a registry'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "push" -d 'Upload an image to a registry'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "load" -d 'Load images from an archive that `save` made'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "save" -d 'Write images to an archive that `load` reads'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "import" -d 'Make an image from a root filesystem\'s archive'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "tag" -d 'Give an image another name'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "history" -d 'Show the steps that made an image'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "untag" -d 'Take names away from an image'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "bake" -d 'Make the images that files describe'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "compose" -d 'Run what compose files describe'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "login" -d 'Log in to a registry'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "logout" -d 'Log out of a registry'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "search" -d 'Search a registry for images'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "events" -d 'Show what happens to containers, images, volumes and networks'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "inspect" -d 'Show everything about containers, images, networks, volumes or secrets'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "info" -d 'Show what this host gives and which settings are in force'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "version" -d 'Show versions'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "unshare" -d 'Run a command in the user namespace of all containers'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "doctor" -d 'Check the host and say what is missing and how to cure it'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "boot" -d 'Have containers started when the host has booted'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "container" -d 'Manage containers'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "image" -d 'Manage images'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "builder" -d 'Manage what builds keep'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "buildx" -d 'Build, by the words of docker\'s plugin'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "volume" -d 'Manage volumes'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "network" -d 'Manage networks'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "secret" -d 'Manage secrets'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "artifact" -d 'Keep files at registries, without an image around them'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "manifest" -d 'Put together lists of manifests, one for each platform'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "system" -d 'Manage bryo'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "generate" -d 'Write completions and man pages'
complete -c bryo -n "__fish_bryo_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand run" -l name -d 'Name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -s h -l hostname -d 'Host name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l domainname -d 'NIS domain name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -s u -l user -d 'User and group, names or numbers (USER[:GROUP])' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l passwd -d 'Give the program\'s user an account where the image has none (podman\'s; --passwd=false for none with keep-id)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand run" -l hostuser -d 'Give a user of the host an account in the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l group-add -d 'Another group of the program, name or number, or `keep-groups` for those of your own' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -s l -l label -d 'Set a label (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l label-file -d 'Read labels from a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand run" -l annotation -d 'Add an annotation of the runtime specification (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l cidfile -d 'Write the container\'s id to a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand run" -s e -l env -d 'Set a variable (KEY=VALUE), or hand on the host\'s (KEY)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l env-file -d 'Read variables from a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand run" -l env-merge -d 'Set a variable from another (KEY=${OTHER}more)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l unsetenv -d 'Leave a variable of the image out' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l umask -d 'umask of the program, octal' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l tz -d 'Time zone of the container (an area and city, or `local` for the host\'s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l oom-score-adj -d 'How soon the kernel ends it when memory is short (-1000 to 1000)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -s w -l workdir -d 'Working directory inside the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l entrypoint -d 'Program to start instead of the image\'s entrypoint' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -s a -l attach -d 'Attach only these streams: stdin, stdout, stderr' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l stop-signal -d 'Signal that stops the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l stop-timeout -d 'Seconds between that signal and SIGKILL' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l restart -d 'Start it again when it ends: no, on-failure[:N], always, unless-stopped' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -s v -l volume -d 'Mount a volume, a directory or a file ([SOURCE:]TARGET[:OPTIONS])' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l volume-driver -d 'Driver of the volumes that are made: only `local` exists' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l volumes-from -d 'Mount what other containers mount (CONTAINER[:ro])' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l secret -d 'Hand in a secret (SECRET[,type=mount|env][,target=...][,uid=...][,gid=...][,mode=...])' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l mount -d 'Attach a mount (type=volume|bind|tmpfs,source=...,target=...)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l tmpfs -d 'Mount a tmpfs (TARGET[:OPTIONS])' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l shm-size -d 'Size of /dev/shm' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l network -l net -d 'Network of the container: none, host, pasta[:OPTIONS], slirp4netns[:OPTIONS], ns:PATH, container:NAME, or networks by name (name=NAME,alias=...,ip=...)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l network-alias -l net-alias -d 'Another name for the container in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l ip -d 'IPv4 address in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l ip6 -d 'IPv6 address in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l mac-address -d 'Hardware address in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l link-local-ip -d 'One more address of its interface' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l link -d 'Another name for another container of its network (CONTAINER[:NAME])' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -s p -l publish -d 'Publish a port ([[IP:]HOST:]CONTAINER[/PROTOCOL])' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l host-port -d 'Let the container reach a port of the host\'s 127.0.0.1 as a port of host.docker.internal (PORT[:CONTAINER-PORT])' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l egress -d 'Reach nothing outside of its networks but these (none, any, or HOST, ADDRESS, SUBNET, *.DOMAIN, each with :PORT or not)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l expose -d 'Say that the program listens on a port (PORT[-PORT][/PROTOCOL])' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l add-host -d 'Another name in /etc/hosts (NAME:ADDRESS, `host-gateway` is the host)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l dns -d 'Name server to ask instead of the host\'s' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l dns-option -l dns-opt -d 'Option of the resolver' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l dns-search -d 'Domain in which short names are looked for (`.` for none)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l log-driver -d 'Where the output is kept: json-file, k8s-file, journald, none, passthrough' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l log-opt -d 'Option of the log driver (NAME=VALUE: max-size, max-file, compress, path, tag, labels, env, ...)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l health-cmd -d 'Program that checks the health (a line for /bin/sh, or a JSON array of words)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l health-interval -d 'Time between two checks (30s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l health-retries -d 'Failures in a row that mean bad health (3)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l health-start-period -d 'Time after the start in which failures do not count (0s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l health-start-interval -d 'Time between two checks while it lasts (5s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l health-timeout -d 'Time that one check may take (30s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l health-on-failure -d 'What follows from bad health: none, kill, restart, stop' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l cap-add -d 'Add a capability' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l cap-drop -d 'Drop a capability' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l security-opt -d 'Security option (no-new-privileges, seccomp=FILE|unconfined, systempaths=unconfined)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l sysctl -d 'Set a namespaced kernel parameter (NAME=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l ulimit -d 'Set a resource limit (NAME=SOFT[:HARD])' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -s m -l memory -d 'Memory that the container may use' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l memory-reservation -d 'Memory that is not taken from it while others have more' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l memory-swap -d 'Memory and swap together (-1: as much swap as there is)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l cpus -d 'Processors that it may use (1.5)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l cpu-period -d 'Length of a period of the processor quota, in microseconds' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l cpu-quota -d 'Processor time in each period, in microseconds' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -s c -l cpu-shares -d 'Share of the processors where they are all in use (default 1024)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l cpuset-cpus -d 'Processors that it runs on (0-3, 0,1)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l cpuset-mems -d 'Memory nodes that it uses (0-3, 0,1)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l pids-limit -d 'Processes and threads that it may have (-1: any number)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l blkio-weight -d 'Share of the disks where they are busy (10 to 1000)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l blkio-weight-device -d 'Share of one disk (DEVICE:WEIGHT)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l device-read-bps -d 'Bytes a second read from a device (DEVICE:BYTES)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l device-write-bps -d 'Bytes a second written to a device (DEVICE:BYTES)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l device-read-iops -d 'Reads a second from a device (DEVICE:NUMBER)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l device-write-iops -d 'Writes a second to a device (DEVICE:NUMBER)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l device -d 'Give the container a device (SOURCE[:TARGET], or VENDOR/CLASS=NAME of the Container Device Interface)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l gpus -d 'Give the container GPUs: all, a number, or device=ID[,ID...]' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l userns -d 'User namespace: host, keep-id[:uid=N,gid=N], auto[:size=N], nomap, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l uidmap -d 'Map user ids (CONTAINER:HOME[:SIZE]; of home, 0 is you and 1 your first subordinate id)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l gidmap -d 'Map group ids, as --uidmap' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l pid -d 'pid namespace: host, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l ipc -d 'ipc namespace: private, shareable, none, host, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l uts -d 'uts namespace: host, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l cgroupns -d 'cgroup namespace: private, host' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l cgroup-parent -d 'Cgroup that the container\'s is made in: below bryo\'s own, or with a / before it within the tree that is yours' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l pull -d 'When to ask the registry: always, missing, never' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l platform -d 'Platform of the image (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l timeout -d 'End the program after so many seconds (0: never)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l requires -d 'Start these containers first' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l runtime -d 'OCI runtime (only `bryo`, which is its own)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l systemd -d 'Prepare the container for systemd (only `false`)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l isolation -d 'Isolation technology (only `default` exists on Linux)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l disable-content-trust -d 'Skip image verification (without meaning since docker removed content trust)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l detach-keys -d 'Keys that leave the container running' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l preserve-fd -d 'Give the program these descriptors too, under their own numbers (comma-separated)' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l preserve-fds -d 'Give the program descriptors 3 to 3+N-1 too' -r
complete -c bryo -n "__fish_bryo_using_subcommand run" -l sig-proxy -d 'Forward signals to the program' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand run" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand run" -l env-host -d 'Begin with the variables of the host'
complete -c bryo -n "__fish_bryo_using_subcommand run" -l unsetenv-all -d 'Leave every variable of the image out'
complete -c bryo -n "__fish_bryo_using_subcommand run" -l init -d 'Start an init that forwards signals and reaps processes'
complete -c bryo -n "__fish_bryo_using_subcommand run" -s t -l tty -d 'Give the program a terminal'
complete -c bryo -n "__fish_bryo_using_subcommand run" -s i -l interactive -d 'Keep standard input open'
complete -c bryo -n "__fish_bryo_using_subcommand run" -l rm -d 'Remove the container when it ends'
complete -c bryo -n "__fish_bryo_using_subcommand run" -l read-only -d 'Make the container\'s root filesystem read-only'
complete -c bryo -n "__fish_bryo_using_subcommand run" -l read-only-tmpfs -d 'With --read-only: let /run, /tmp and /var/tmp be written, as a tmpfs each'
complete -c bryo -n "__fish_bryo_using_subcommand run" -s P -l publish-all -d 'Publish every exposed port on a free port of the host'
complete -c bryo -n "__fish_bryo_using_subcommand run" -l no-healthcheck -d 'Do not check the health, whatever the image says'
complete -c bryo -n "__fish_bryo_using_subcommand run" -l privileged -d 'Take the container\'s guards away, as far as your own rights go'
complete -c bryo -n "__fish_bryo_using_subcommand run" -s q -l quiet -d 'Show no progress of a pull'
complete -c bryo -n "__fish_bryo_using_subcommand run" -l replace -d 'Remove the container that has the name already'
complete -c bryo -n "__fish_bryo_using_subcommand run" -s d -l detach -d 'Run in the background and print the container\'s id'
complete -c bryo -n "__fish_bryo_using_subcommand create" -l name -d 'Name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -s h -l hostname -d 'Host name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l domainname -d 'NIS domain name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -s u -l user -d 'User and group, names or numbers (USER[:GROUP])' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l passwd -d 'Give the program\'s user an account where the image has none (podman\'s; --passwd=false for none with keep-id)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand create" -l hostuser -d 'Give a user of the host an account in the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l group-add -d 'Another group of the program, name or number, or `keep-groups` for those of your own' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -s l -l label -d 'Set a label (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l label-file -d 'Read labels from a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand create" -l annotation -d 'Add an annotation of the runtime specification (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l cidfile -d 'Write the container\'s id to a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand create" -s e -l env -d 'Set a variable (KEY=VALUE), or hand on the host\'s (KEY)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l env-file -d 'Read variables from a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand create" -l env-merge -d 'Set a variable from another (KEY=${OTHER}more)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l unsetenv -d 'Leave a variable of the image out' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l umask -d 'umask of the program, octal' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l tz -d 'Time zone of the container (an area and city, or `local` for the host\'s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l oom-score-adj -d 'How soon the kernel ends it when memory is short (-1000 to 1000)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -s w -l workdir -d 'Working directory inside the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l entrypoint -d 'Program to start instead of the image\'s entrypoint' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -s a -l attach -d 'Attach only these streams: stdin, stdout, stderr' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l stop-signal -d 'Signal that stops the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l stop-timeout -d 'Seconds between that signal and SIGKILL' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l restart -d 'Start it again when it ends: no, on-failure[:N], always, unless-stopped' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -s v -l volume -d 'Mount a volume, a directory or a file ([SOURCE:]TARGET[:OPTIONS])' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l volume-driver -d 'Driver of the volumes that are made: only `local` exists' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l volumes-from -d 'Mount what other containers mount (CONTAINER[:ro])' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l secret -d 'Hand in a secret (SECRET[,type=mount|env][,target=...][,uid=...][,gid=...][,mode=...])' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l mount -d 'Attach a mount (type=volume|bind|tmpfs,source=...,target=...)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l tmpfs -d 'Mount a tmpfs (TARGET[:OPTIONS])' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l shm-size -d 'Size of /dev/shm' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l network -l net -d 'Network of the container: none, host, pasta[:OPTIONS], slirp4netns[:OPTIONS], ns:PATH, container:NAME, or networks by name (name=NAME,alias=...,ip=...)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l network-alias -l net-alias -d 'Another name for the container in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l ip -d 'IPv4 address in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l ip6 -d 'IPv6 address in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l mac-address -d 'Hardware address in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l link-local-ip -d 'One more address of its interface' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l link -d 'Another name for another container of its network (CONTAINER[:NAME])' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -s p -l publish -d 'Publish a port ([[IP:]HOST:]CONTAINER[/PROTOCOL])' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l host-port -d 'Let the container reach a port of the host\'s 127.0.0.1 as a port of host.docker.internal (PORT[:CONTAINER-PORT])' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l egress -d 'Reach nothing outside of its networks but these (none, any, or HOST, ADDRESS, SUBNET, *.DOMAIN, each with :PORT or not)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l expose -d 'Say that the program listens on a port (PORT[-PORT][/PROTOCOL])' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l add-host -d 'Another name in /etc/hosts (NAME:ADDRESS, `host-gateway` is the host)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l dns -d 'Name server to ask instead of the host\'s' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l dns-option -l dns-opt -d 'Option of the resolver' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l dns-search -d 'Domain in which short names are looked for (`.` for none)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l log-driver -d 'Where the output is kept: json-file, k8s-file, journald, none, passthrough' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l log-opt -d 'Option of the log driver (NAME=VALUE: max-size, max-file, compress, path, tag, labels, env, ...)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l health-cmd -d 'Program that checks the health (a line for /bin/sh, or a JSON array of words)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l health-interval -d 'Time between two checks (30s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l health-retries -d 'Failures in a row that mean bad health (3)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l health-start-period -d 'Time after the start in which failures do not count (0s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l health-start-interval -d 'Time between two checks while it lasts (5s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l health-timeout -d 'Time that one check may take (30s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l health-on-failure -d 'What follows from bad health: none, kill, restart, stop' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l cap-add -d 'Add a capability' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l cap-drop -d 'Drop a capability' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l security-opt -d 'Security option (no-new-privileges, seccomp=FILE|unconfined, systempaths=unconfined)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l sysctl -d 'Set a namespaced kernel parameter (NAME=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l ulimit -d 'Set a resource limit (NAME=SOFT[:HARD])' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -s m -l memory -d 'Memory that the container may use' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l memory-reservation -d 'Memory that is not taken from it while others have more' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l memory-swap -d 'Memory and swap together (-1: as much swap as there is)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l cpus -d 'Processors that it may use (1.5)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l cpu-period -d 'Length of a period of the processor quota, in microseconds' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l cpu-quota -d 'Processor time in each period, in microseconds' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -s c -l cpu-shares -d 'Share of the processors where they are all in use (default 1024)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l cpuset-cpus -d 'Processors that it runs on (0-3, 0,1)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l cpuset-mems -d 'Memory nodes that it uses (0-3, 0,1)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l pids-limit -d 'Processes and threads that it may have (-1: any number)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l blkio-weight -d 'Share of the disks where they are busy (10 to 1000)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l blkio-weight-device -d 'Share of one disk (DEVICE:WEIGHT)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l device-read-bps -d 'Bytes a second read from a device (DEVICE:BYTES)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l device-write-bps -d 'Bytes a second written to a device (DEVICE:BYTES)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l device-read-iops -d 'Reads a second from a device (DEVICE:NUMBER)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l device-write-iops -d 'Writes a second to a device (DEVICE:NUMBER)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l device -d 'Give the container a device (SOURCE[:TARGET], or VENDOR/CLASS=NAME of the Container Device Interface)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l gpus -d 'Give the container GPUs: all, a number, or device=ID[,ID...]' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l userns -d 'User namespace: host, keep-id[:uid=N,gid=N], auto[:size=N], nomap, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l uidmap -d 'Map user ids (CONTAINER:HOME[:SIZE]; of home, 0 is you and 1 your first subordinate id)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l gidmap -d 'Map group ids, as --uidmap' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l pid -d 'pid namespace: host, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l ipc -d 'ipc namespace: private, shareable, none, host, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l uts -d 'uts namespace: host, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l cgroupns -d 'cgroup namespace: private, host' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l cgroup-parent -d 'Cgroup that the container\'s is made in: below bryo\'s own, or with a / before it within the tree that is yours' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l pull -d 'When to ask the registry: always, missing, never' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l platform -d 'Platform of the image (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l timeout -d 'End the program after so many seconds (0: never)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l requires -d 'Start these containers first' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l runtime -d 'OCI runtime (only `bryo`, which is its own)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l systemd -d 'Prepare the container for systemd (only `false`)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l isolation -d 'Isolation technology (only `default` exists on Linux)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l disable-content-trust -d 'Skip image verification (without meaning since docker removed content trust)' -r
complete -c bryo -n "__fish_bryo_using_subcommand create" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand create" -l env-host -d 'Begin with the variables of the host'
complete -c bryo -n "__fish_bryo_using_subcommand create" -l unsetenv-all -d 'Leave every variable of the image out'
complete -c bryo -n "__fish_bryo_using_subcommand create" -l init -d 'Start an init that forwards signals and reaps processes'
complete -c bryo -n "__fish_bryo_using_subcommand create" -s t -l tty -d 'Give the program a terminal'
complete -c bryo -n "__fish_bryo_using_subcommand create" -s i -l interactive -d 'Keep standard input open'
complete -c bryo -n "__fish_bryo_using_subcommand create" -l rm -d 'Remove the container when it ends'
complete -c bryo -n "__fish_bryo_using_subcommand create" -l read-only -d 'Make the container\'s root filesystem read-only'
complete -c bryo -n "__fish_bryo_using_subcommand create" -l read-only-tmpfs -d 'With --read-only: let /run, /tmp and /var/tmp be written, as a tmpfs each'
complete -c bryo -n "__fish_bryo_using_subcommand create" -s P -l publish-all -d 'Publish every exposed port on a free port of the host'
complete -c bryo -n "__fish_bryo_using_subcommand create" -l no-healthcheck -d 'Do not check the health, whatever the image says'
complete -c bryo -n "__fish_bryo_using_subcommand create" -l privileged -d 'Take the container\'s guards away, as far as your own rights go'
complete -c bryo -n "__fish_bryo_using_subcommand create" -s q -l quiet -d 'Show no progress of a pull'
complete -c bryo -n "__fish_bryo_using_subcommand create" -l replace -d 'Remove the container that has the name already'
complete -c bryo -n "__fish_bryo_using_subcommand attach" -l detach-keys -d 'Keys that leave the container running' -r
complete -c bryo -n "__fish_bryo_using_subcommand attach" -l sig-proxy -d 'Forward signals to the program' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand attach" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand attach" -l no-stdin -d 'Do not attach standard input'
complete -c bryo -n "__fish_bryo_using_subcommand exec" -l detach-keys -d 'Keys that leave the program running' -r
complete -c bryo -n "__fish_bryo_using_subcommand exec" -s e -l env -d 'Set a variable (KEY=VALUE), or hand on the host\'s (KEY)' -r
complete -c bryo -n "__fish_bryo_using_subcommand exec" -l env-file -d 'Read variables from a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand exec" -l preserve-fd -d 'Give the program these descriptors too, under their own numbers (comma-separated)' -r
complete -c bryo -n "__fish_bryo_using_subcommand exec" -l preserve-fds -d 'Give the program descriptors 3 to 3+N-1 too' -r
complete -c bryo -n "__fish_bryo_using_subcommand exec" -s u -l user -d 'User and group, names or numbers (USER[:GROUP])' -r
complete -c bryo -n "__fish_bryo_using_subcommand exec" -s w -l workdir -d 'Working directory inside the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand exec" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand exec" -s d -l detach -d 'Run in the background'
complete -c bryo -n "__fish_bryo_using_subcommand exec" -s i -l interactive -d 'Keep standard input open'
complete -c bryo -n "__fish_bryo_using_subcommand exec" -l privileged -d 'Give the program all capabilities that a container can have'
complete -c bryo -n "__fish_bryo_using_subcommand exec" -s t -l tty -d 'Give the program a terminal'
complete -c bryo -n "__fish_bryo_using_subcommand start" -s f -l filter -d 'Start those of them that fit (restart-policy=always, should-start-on-boot=true, and what ps takes)' -r
complete -c bryo -n "__fish_bryo_using_subcommand start" -l detach-keys -d 'Keys that leave the container running' -r
complete -c bryo -n "__fish_bryo_using_subcommand start" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand start" -l all -d 'Start all containers that do not run'
complete -c bryo -n "__fish_bryo_using_subcommand start" -s a -l attach -d 'Show the output and forward signals'
complete -c bryo -n "__fish_bryo_using_subcommand start" -s i -l interactive -d 'Attach standard input'
complete -c bryo -n "__fish_bryo_using_subcommand stop" -s s -l signal -d 'Signal to send' -r
complete -c bryo -n "__fish_bryo_using_subcommand stop" -s t -l timeout -l time -d 'Seconds to wait before killing it (-1: for ever)' -r
complete -c bryo -n "__fish_bryo_using_subcommand stop" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand restart" -s s -l signal -d 'Signal to send' -r
complete -c bryo -n "__fish_bryo_using_subcommand restart" -s t -l timeout -l time -d 'Seconds to wait before killing it (-1: for ever)' -r
complete -c bryo -n "__fish_bryo_using_subcommand restart" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand pause" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand unpause" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand update" -l restart -d 'Start it again when it ends: no, on-failure[:N], always, unless-stopped' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l egress -d 'Reach nothing outside of its networks but these (none, any, or HOST, ADDRESS, SUBNET, *.DOMAIN, each with :PORT or not)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -s m -l memory -d 'Memory that the container may use' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l memory-reservation -d 'Memory that is not taken from it while others have more' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l memory-swap -d 'Memory and swap together (-1: as much swap as there is)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l cpus -d 'Processors that it may use (1.5)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l cpu-period -d 'Length of a period of the processor quota, in microseconds' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l cpu-quota -d 'Processor time in each period, in microseconds' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -s c -l cpu-shares -d 'Share of the processors where they are all in use (default 1024)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l cpuset-cpus -d 'Processors that it runs on (0-3, 0,1)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l cpuset-mems -d 'Memory nodes that it uses (0-3, 0,1)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l pids-limit -d 'Processes and threads that it may have (-1: any number)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l blkio-weight -d 'Share of the disks where they are busy (10 to 1000)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l health-cmd -d 'Program that checks the health (a line for /bin/sh, or a JSON array of words)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l health-interval -d 'Time between two checks (30s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l health-retries -d 'Failures in a row that mean bad health (3)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l health-start-period -d 'Time after the start in which failures do not count (0s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l health-start-interval -d 'Time between two checks while it lasts (5s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l health-timeout -d 'Time that one check may take (30s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l health-on-failure -d 'What follows from bad health: none, kill, restart, stop' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l log-opt -d 'Bounds of the log\'s files (max-size=SIZE, max-file=NUMBER)' -r
complete -c bryo -n "__fish_bryo_using_subcommand update" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand update" -l no-healthcheck -d 'Do not check the health, whatever the image says'
complete -c bryo -n "__fish_bryo_using_subcommand kill" -s s -l signal -d 'Signal to send' -r
complete -c bryo -n "__fish_bryo_using_subcommand kill" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand rm" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand rm" -s f -l force -d 'Kill running containers first'
complete -c bryo -n "__fish_bryo_using_subcommand rm" -s v -l volumes -d 'Remove their anonymous volumes too'
complete -c bryo -n "__fish_bryo_using_subcommand remove" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand remove" -s f -l force -d 'Kill running containers first'
complete -c bryo -n "__fish_bryo_using_subcommand remove" -s v -l volumes -d 'Remove their anonymous volumes too'
complete -c bryo -n "__fish_bryo_using_subcommand logs" -s n -l tail -d 'Show only so many lines from the end' -r
complete -c bryo -n "__fish_bryo_using_subcommand logs" -l since -d 'Show what came after a moment (2024-01-31T15:04:05Z) or in the last while (42m)' -r
complete -c bryo -n "__fish_bryo_using_subcommand logs" -l until -d 'Show what came before a moment' -r
complete -c bryo -n "__fish_bryo_using_subcommand logs" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand logs" -l details -d 'Show the attributes that --log-opt gave to the lines'
complete -c bryo -n "__fish_bryo_using_subcommand logs" -s f -l follow -d 'Go on while the container writes'
complete -c bryo -n "__fish_bryo_using_subcommand logs" -l names -d 'Of several containers, begin each line with the name instead of the id'
complete -c bryo -n "__fish_bryo_using_subcommand logs" -s t -l timestamps -d 'Begin each line with its time'
complete -c bryo -n "__fish_bryo_using_subcommand cp" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand cp" -s a -l archive -d 'Keep the owners of files'
complete -c bryo -n "__fish_bryo_using_subcommand cp" -s L -l follow-link -d 'Copy what the symlink SOURCE stands for'
complete -c bryo -n "__fish_bryo_using_subcommand cp" -s q -l quiet -d 'Do not say how much was copied'
complete -c bryo -n "__fish_bryo_using_subcommand diff" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand export" -s o -l output -d 'Write to a file, `-` for standard output' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand export" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand commit" -s a -l author -d 'Who made it' -r
complete -c bryo -n "__fish_bryo_using_subcommand commit" -s c -l change -d 'Change a setting by a Dockerfile instruction (CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR)' -r
complete -c bryo -n "__fish_bryo_using_subcommand commit" -s m -l message -d 'Say something about the image' -r
complete -c bryo -n "__fish_bryo_using_subcommand commit" -s p -l pause -d 'Pause the container meanwhile (default true)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand commit" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand commit" -l no-pause -d 'Do not pause the container meanwhile'
complete -c bryo -n "__fish_bryo_using_subcommand mount" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand wait" -l condition -d 'Wait for this instead: created, running, paused, stopped, healthy, unhealthy (may be given several times)' -r
complete -c bryo -n "__fish_bryo_using_subcommand wait" -s i -l interval -d 'Look at the condition at least so often (250ms, or 250 for as many milliseconds)' -r
complete -c bryo -n "__fish_bryo_using_subcommand wait" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand wait" -l ignore -d 'Say -1 of a container that does not exist'
complete -c bryo -n "__fish_bryo_using_subcommand top" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand stats" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand stats" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand stats" -s a -l all -d 'Show those that do not run, too'
complete -c bryo -n "__fish_bryo_using_subcommand stats" -l no-stream -d 'Show one measurement and end'
complete -c bryo -n "__fish_bryo_using_subcommand stats" -l no-trunc -d 'Show whole ids'
complete -c bryo -n "__fish_bryo_using_subcommand rename" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand port" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand ps" -s f -l filter -d 'Show only what fits: id, name, label, status, exited, ancestor, before, since, volume, network, publish, expose' -r
complete -c bryo -n "__fish_bryo_using_subcommand ps" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand ps" -s n -l last -d 'Show the last so many made, whatever their state' -r
complete -c bryo -n "__fish_bryo_using_subcommand ps" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand ps" -s a -l all -d 'Show those that do not run, too'
complete -c bryo -n "__fish_bryo_using_subcommand ps" -s l -l latest -d 'Show the one made last, whatever its state'
complete -c bryo -n "__fish_bryo_using_subcommand ps" -l no-trunc -d 'Show whole ids and commands'
complete -c bryo -n "__fish_bryo_using_subcommand ps" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand ps" -s s -l size -d 'Show sizes'
complete -c bryo -n "__fish_bryo_using_subcommand images" -s f -l filter -d 'Show only what fits: dangling, label, before, since, until, reference' -r
complete -c bryo -n "__fish_bryo_using_subcommand images" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand images" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand images" -s a -l all -d 'Show images without a name too'
complete -c bryo -n "__fish_bryo_using_subcommand images" -l digests -d 'Show digests'
complete -c bryo -n "__fish_bryo_using_subcommand images" -l no-trunc -d 'Show whole ids'
complete -c bryo -n "__fish_bryo_using_subcommand images" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand images" -l tree -d 'Show each image with its platform, what it takes and whether it is used'
complete -c bryo -n "__fish_bryo_using_subcommand rmi" -l platform -d 'Remove only images of this platform (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand rmi" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand rmi" -s f -l force -d 'Remove every name, and images that stopped containers use'
complete -c bryo -n "__fish_bryo_using_subcommand rmi" -l no-prune -d 'Keep untagged images that a removed one was made from'
complete -c bryo -n "__fish_bryo_using_subcommand build" -s f -l file -d 'Dockerfile, `-` for standard input (default: PATH/Dockerfile)' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand build" -s t -l tag -d 'Name for the image: NAME[:TAG]' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l build-arg -d 'Value of an ARG: NAME=VALUE, or NAME for the host\'s variable' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l build-context -d 'Another place for --from and FROM: NAME=DIRECTORY|docker-image://IMAGE|oci-layout://DIRECTORY[:TAG|@DIGEST]|URL' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l target -d 'Stage to build, by name or number (default: the last one)' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l label -d 'Label of the image' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l rm -d 'Remove the containers of steps, which is done whatever is said' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand build" -l no-cache-filter -d 'Do the steps of this stage anew' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l platform -d 'What the image is for (os/arch[/variant]), if not for this host; several make an index' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l network -d 'Network of RUN: default, none, host, pasta, or the name of one' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l add-host -d 'Another name in /etc/hosts of RUN (NAME:ADDRESS, `host-gateway` is the host)' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l shm-size -d 'Size of /dev/shm of RUN' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l ulimit -d 'Resource limit of RUN: NAME=SOFT[:HARD]' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l cgroup-parent -d 'Cgroup that those of RUN are made in: below bryo\'s own, or with a / before it within the tree that is yours' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l secret -d 'Secret of RUN --mount=type=secret: id=NAME[,src=FILE|,env=VARIABLE]' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l ssh -d 'Agent for RUN --mount=type=ssh: default, ID[=SOCKET], or ID=KEY[,KEY] for one that has only these keys' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l source-date-epoch -d 'Nothing in the image is newer than this (seconds since 1970)' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l iidfile -d 'Write the image\'s id to a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand build" -l cache-from -d 'Take what steps came to from: IMAGE, type=registry,ref=IMAGE, type=local,src=DIRECTORY' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l cache-to -d 'Write what steps came to: type=registry,ref=IMAGE, type=local,dest=DIRECTORY, type=inline; with mode=min or max' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -s o -l output -d 'Where it goes: DIRECTORY, - (a tar), or type=TYPE[,dest=PLACE][,name=NAME][,push=BOOL] with local, tar, oci, docker, image, registry or cacheonly as TYPE' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l annotation -d 'Annotation: [manifest|index|manifest-descriptor|index-descriptor[PLATFORM]:]NAME=VALUE' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l attest -d 'Say something of the image: type=sbom, type=provenance[,mode=min|max]' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l allow -d 'What may be done beyond the usual: network.host, security.insecure, device[=NAME]' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l metadata-file -d 'Write what was built to a file, as JSON' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand build" -l progress -d 'How progress looks: auto, plain, tty, quiet, rawjson' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l sbom -d 'Say what is installed in the image: true, false' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l provenance -d 'Say where the image came from: true, false, mode=min, mode=max' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l builder -d 'Builder to use: there is one, whatever it is called' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l call -d 'What to do: build, check, outline or targets, with format=json as its JSON (default: build)' -r
complete -c bryo -n "__fish_bryo_using_subcommand build" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand build" -l squash -d 'Make one layer of all that the steps add to the base image'
complete -c bryo -n "__fish_bryo_using_subcommand build" -s q -l quiet -d 'Print the image\'s id and nothing else'
complete -c bryo -n "__fish_bryo_using_subcommand build" -l no-cache -d 'Do every step anew'
complete -c bryo -n "__fish_bryo_using_subcommand build" -l pull -d 'Ask the registry for newer base images'
complete -c bryo -n "__fish_bryo_using_subcommand build" -l load -d 'Put the image into the store, also where it goes elsewhere'
complete -c bryo -n "__fish_bryo_using_subcommand build" -l push -d 'Push the image to the registries of its names'
complete -c bryo -n "__fish_bryo_using_subcommand build" -l check -d 'Only look for what is wrong with the Dockerfile: --call=check'
complete -c bryo -n "__fish_bryo_using_subcommand build" -s D -l debug -d 'Say everything of every warning, and write a line per step of the engine'
complete -c bryo -n "__fish_bryo_using_subcommand pull" -l platform -d 'Platform to choose from an index (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand pull" -l verify-signature -d 'Take the image only if cosign has signed it with this key: a public key in PEM' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand pull" -l disable-content-trust -d 'Skip image verification (without meaning since docker removed content trust)' -r
complete -c bryo -n "__fish_bryo_using_subcommand pull" -l tls-verify -d 'Speak TLS and verify certificates whatever is configured, or with =false neither' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand pull" -l authfile -d 'File of registry credentials, instead of all others' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand pull" -l cert-dir -d 'Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand pull" -l creds -d 'User and password for the registry, which everybody on this machine can read here' -r
complete -c bryo -n "__fish_bryo_using_subcommand pull" -l retry -d 'How many times to try again what failed and may go well the next time (4)' -r
complete -c bryo -n "__fish_bryo_using_subcommand pull" -l retry-delay -d 'How long to wait before each of these tries, instead of longer each time' -r
complete -c bryo -n "__fish_bryo_using_subcommand pull" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand pull" -s a -l all-tags -d 'Pull all tags of the repository'
complete -c bryo -n "__fish_bryo_using_subcommand pull" -l all-platforms -d 'Pull the images of every platform'
complete -c bryo -n "__fish_bryo_using_subcommand pull" -s q -l quiet -d 'Print only the image\'s name'
complete -c bryo -n "__fish_bryo_using_subcommand push" -l platform -d 'Push only if the image is for this platform (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand push" -l compression-format -l compression -d 'How layers are compressed that are sent: gzip, zstd, zstd:chunked or none' -r
complete -c bryo -n "__fish_bryo_using_subcommand push" -l compression-level -d 'Level of that compression' -r
complete -c bryo -n "__fish_bryo_using_subcommand push" -l disable-content-trust -d 'Skip image signing (without meaning since docker removed content trust)' -r
complete -c bryo -n "__fish_bryo_using_subcommand push" -l tls-verify -d 'Speak TLS and verify certificates whatever is configured, or with =false neither' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand push" -l authfile -d 'File of registry credentials, instead of all others' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand push" -l cert-dir -d 'Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand push" -l creds -d 'User and password for the registry, which everybody on this machine can read here' -r
complete -c bryo -n "__fish_bryo_using_subcommand push" -l retry -d 'How many times to try again what failed and may go well the next time (4)' -r
complete -c bryo -n "__fish_bryo_using_subcommand push" -l retry-delay -d 'How long to wait before each of these tries, instead of longer each time' -r
complete -c bryo -n "__fish_bryo_using_subcommand push" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand push" -s a -l all-tags -d 'Push all tags of the repository'
complete -c bryo -n "__fish_bryo_using_subcommand push" -s q -l quiet -d 'Print only the image\'s name'
complete -c bryo -n "__fish_bryo_using_subcommand push" -l require-digest -d 'Push nothing if the manifest would get another digest than it has here'
complete -c bryo -n "__fish_bryo_using_subcommand load" -s i -l input -d 'Read from an archive instead of standard input' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand load" -l platform -d 'Load only the images for a platform' -r
complete -c bryo -n "__fish_bryo_using_subcommand load" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand load" -s q -l quiet -d 'Show no progress'
complete -c bryo -n "__fish_bryo_using_subcommand save" -s o -l output -d 'Write to a file (or directory), instead of standard output' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand save" -l platform -d 'Fail where the image is for another platform' -r
complete -c bryo -n "__fish_bryo_using_subcommand save" -l format -d 'What to write' -r -f -a "docker-archive\t'What docker and podman load, with an OCI layout inside'
oci-archive\t'An OCI layout as a tar'
oci-dir\t'An OCI layout as a directory'
docker-dir\t'A directory as skopeo\'s `dir:`'"
complete -c bryo -n "__fish_bryo_using_subcommand save" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand save" -l compress -d 'Compress the layers in a directory with gzip'
complete -c bryo -n "__fish_bryo_using_subcommand save" -l require-digest -d 'Fail where a manifest would get another digest than it has'
complete -c bryo -n "__fish_bryo_using_subcommand save" -s q -l quiet -d 'Do not say which manifests get another digest'
complete -c bryo -n "__fish_bryo_using_subcommand import" -s c -l change -d 'Set something by a Dockerfile instruction (CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR)' -r
complete -c bryo -n "__fish_bryo_using_subcommand import" -s m -l message -d 'Say something about the image' -r
complete -c bryo -n "__fish_bryo_using_subcommand import" -l platform -d 'What it is for (os/arch[/variant]), if not for this host' -r
complete -c bryo -n "__fish_bryo_using_subcommand import" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand tag" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand history" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand history" -s H -l human -d 'Sizes and dates for people (default true)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand history" -l platform -d 'Of this platform (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand history" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand history" -l no-trunc -d 'Show whole ids and commands'
complete -c bryo -n "__fish_bryo_using_subcommand history" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand untag" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand bake" -s f -l file -d 'File to read, `-` for standard input (default: compose and docker-bake files of this directory)' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l set -d 'Say otherwise what a target has: TARGET.KEY=VALUE' -r
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l var -d 'Value of a variable: NAME=VALUE' -r
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l list -d 'Show the names of targets, or variables' -r
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l allow -d 'What may be done beyond the usual: network.host, security.insecure, device[=NAME]' -r
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l metadata-file -d 'Write what was built to a file, as JSON' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l progress -d 'How progress looks: auto, plain, tty, quiet, rawjson' -r
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l sbom -d 'Say what is installed in the image: true, false' -r
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l provenance -d 'Say where the image came from: true, false, mode=min, mode=max' -r
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l builder -d 'Builder to use: there is one, whatever it is called' -r
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l call -d 'What to do: build, check, outline or targets, with format=json as its JSON (default: build)' -r
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l print -d 'Show what would be built, as JSON, and build nothing'
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l no-cache -d 'Do every step anew'
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l pull -d 'Ask the registry for newer base images'
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l load -d 'Put the image into the store, also where it goes elsewhere'
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l push -d 'Push the image to the registries of its names'
complete -c bryo -n "__fish_bryo_using_subcommand bake" -l check -d 'Only look for what is wrong with the Dockerfile: --call=check'
complete -c bryo -n "__fish_bryo_using_subcommand bake" -s D -l debug -d 'Say everything of every warning, and write a line per step of the engine'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -s f -l file -d 'Compose file to read, `-` for standard input (default: compose.yaml of this directory or one above)' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -s p -l project-name -d 'Name of the project (default: the one in the file, or the directory\'s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -l project-directory -d 'Directory that relative paths begin at (default: that of the first file)' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -l profile -d 'Profile to activate' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -l env-file -d 'File of variables to read in place of .env' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -l ansi -d 'When to write control characters: never, always, auto' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -l progress -d 'How progress is shown: auto, tty, plain, json, quiet' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -l parallel -d 'How many things are done at the same time; -1 is without limit' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -l all-resources -d 'Keep also networks, volumes, secrets and configs that no service uses'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -l compatibility -d 'Name containers with underscores, and set limits from `deploy`'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "attach" -d 'Take part in the streams of a service\'s container'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "build" -d 'Build the images of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "commit" -d 'Make an image of what a service\'s container has become'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "config" -d 'Show the project as its files, merged and resolved, describe it'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "convert" -d 'Show the project as its files, merged and resolved, describe it'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "cp" -d 'Copy files between the containers of a service and the host'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "create" -d 'Make the containers of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "down" -d 'Stop and remove containers and networks'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "events" -d 'Show what happens to containers'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "exec" -d 'Execute a program in a running container'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "export" -d 'Write the root filesystem of a service\'s container as a tar archive'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "images" -d 'List the images of containers'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "kill" -d 'End containers at once, or send them a signal'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "logs" -d 'Show what containers wrote'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "ls" -d 'List projects'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "pause" -d 'Freeze the processes of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "port" -d 'Show where a port of a service is found'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "ps" -d 'List containers'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "pull" -d 'Pull the images of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "push" -d 'Push the images of services that are built'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "restart" -d 'Stop containers and start them again'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "rm" -d 'Remove containers that are stopped'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "run" -d 'Run a program in one more container of a service'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "scale" -d 'Say how many containers services have'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "start" -d 'Start containers that are there'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "stats" -d 'Show what containers use'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "stop" -d 'Stop containers'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "top" -d 'Show the processes of containers'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "unpause" -d 'Let the processes of paused services go on'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "up" -d 'Make and start the containers of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "version" -d 'Show versions'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "volumes" -d 'List volumes'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "wait" -d 'Wait until the containers of services end'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and not __fish_seen_subcommand_from attach build commit config convert cp create down events exec export images kill logs ls pause port ps pull push restart rm run scale start stats stop top unpause up version volumes wait help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from attach" -l detach-keys -d 'Keys that leave the container running' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from attach" -l index -d 'Which of the service\'s containers' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from attach" -l sig-proxy -d 'Forward signals to the program' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from attach" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from attach" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from attach" -l no-stdin -d 'Do not attach standard input'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l build-arg -d 'Value of an ARG: NAME=VALUE, or NAME for the host\'s variable' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l builder -d 'Builder to use: there is one, whatever it is called' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l provenance -d 'Say where the images came from: true, false, mode=min, mode=max' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l sbom -d 'Say what is installed in the images: true, false' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l ssh -d 'Agent for RUN --mount=type=ssh: default, ID[=SOCKET]' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l check -d 'Only look for what is wrong with the Dockerfiles'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l no-cache -d 'Do every step anew'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l print -d 'Show what would be built, as a bake file, and build nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l pull -d 'Ask the registry for newer base images'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l push -d 'Push the images to the registries of their names'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -s q -l quiet -d 'Show nothing of the builds'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from build" -l with-dependencies -d 'Build also the services that these depend on'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from commit" -s a -l author -d 'Who made it' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from commit" -s c -l change -d 'Change a setting by a Dockerfile instruction (CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR)' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from commit" -l index -d 'Which of the service\'s containers' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from commit" -s m -l message -d 'Say something about the image' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from commit" -s p -l pause -d 'Pause the container meanwhile (default true)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from commit" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from commit" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l format -d 'How the project is shown: yaml, json' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -s o -l output -d 'File to write to, in place of standard output' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l hash -d 'Show what a service\'s containers are compared with: names separated by commas, or `*`' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -s q -l quiet -d 'Only say what is wrong'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l services -d 'Show the names of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l volumes -d 'Show the names of volumes'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l networks -d 'Show the names of networks'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l models -d 'Show the models'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l images -d 'Show the names of images'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l profiles -d 'Show the names of profiles'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l environment -d 'Show the variables that files see'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l variables -d 'Show the variables that files ask for'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l no-interpolate -d 'Leave variables as they are'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l no-normalize -d 'Leave out what follows from what the files say'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l no-path-resolution -d 'Leave relative paths as they are'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l no-consistency -d 'Take a project whose parts do not fit together'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l no-env-resolution -d 'Read no `env_file`s of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l resolve-image-digests -d 'Ask registries for the digests of images'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from config" -l lock-image-digests -d 'The same, and show images alone, as a file to be laid over the others'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l format -d 'How the project is shown: yaml, json' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -s o -l output -d 'File to write to, in place of standard output' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l hash -d 'Show what a service\'s containers are compared with: names separated by commas, or `*`' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -s q -l quiet -d 'Only say what is wrong'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l services -d 'Show the names of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l volumes -d 'Show the names of volumes'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l networks -d 'Show the names of networks'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l models -d 'Show the models'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l images -d 'Show the names of images'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l profiles -d 'Show the names of profiles'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l environment -d 'Show the variables that files see'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l variables -d 'Show the variables that files ask for'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l no-interpolate -d 'Leave variables as they are'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l no-normalize -d 'Leave out what follows from what the files say'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l no-path-resolution -d 'Leave relative paths as they are'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l no-consistency -d 'Take a project whose parts do not fit together'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l no-env-resolution -d 'Read no `env_file`s of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l resolve-image-digests -d 'Ask registries for the digests of images'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from convert" -l lock-image-digests -d 'The same, and show images alone, as a file to be laid over the others'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from cp" -l index -d 'Which of the service\'s containers' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from cp" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from cp" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from cp" -l all -d 'Also to or from containers of `run`'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from cp" -s a -l archive -d 'Keep the owners of files'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from cp" -s L -l follow-link -d 'Copy what the symlink SOURCE stands for'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from create" -l pull -d 'When to ask the registry: always, missing, never, build' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from create" -l scale -d 'So many containers of a service, whatever the file says' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from create" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from create" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from create" -l build -d 'Build the images before'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from create" -l no-build -d 'Build no image, even if it is missing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from create" -l force-recreate -d 'Make the containers anew, also where nothing has changed'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from create" -l no-recreate -d 'Leave containers as they are, also where something has changed'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from create" -l quiet-pull -d 'Show nothing of pulls'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from create" -l remove-orphans -d 'Remove the containers of services that the files do not have'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from create" -s y -l yes -d 'Answer every question with yes'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from down" -l rmi -d 'Remove the images of the services: local (those without a name in the file), all' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from down" -s t -l timeout -d 'Seconds before a container is killed' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from down" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from down" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from down" -l remove-orphans -d 'Take away the containers of services too that the files do not have'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from down" -s v -l volumes -d 'Remove the volumes too: those of the file, and anonymous ones'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from events" -l since -d 'Show what came after a moment (2024-01-31T15:04:05Z) or in the last while (42m)' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from events" -l until -d 'End at a moment' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from events" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from events" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from events" -l json -d 'Show a JSON object for each event'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from exec" -s e -l env -d 'Set a variable (KEY=VALUE), or hand on the host\'s (KEY)' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from exec" -l index -d 'Which of the service\'s containers' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from exec" -s T -l no-tty -l no-TTY -d 'Give the program no terminal (default: it has one where standard output is one)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from exec" -s u -l user -d 'User and group, names or numbers (USER[:GROUP])' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from exec" -s w -l workdir -d 'Working directory inside the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from exec" -s i -l interactive -d 'Keep standard input open (`--interactive=false` closes it)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from exec" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from exec" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from exec" -s d -l detach -d 'Run in the background'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from exec" -l privileged -d 'Give the program all capabilities that a container can have'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from exec" -s t -l tty -d 'Give the program a terminal where standard output is one, as without it'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from export" -l index -d 'Which of the service\'s containers' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from export" -s o -l output -d 'Write to a file, not to standard output' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from export" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from export" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from images" -l format -d 'How it is shown: table, json' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from images" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from images" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from images" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from kill" -s s -l signal -d 'Signal to send' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from kill" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from kill" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from kill" -l remove-orphans -d 'End the containers of services too that the files do not have'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from logs" -l index -d 'Which of the service\'s containers' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from logs" -l since -d 'Show what came after a moment (2024-01-31T15:04:05Z) or in the last while (42m)' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from logs" -s n -l tail -d 'Show only so many lines from the end of each log' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from logs" -l until -d 'Show what came before a moment' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from logs" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from logs" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from logs" -s f -l follow -d 'Go on while one of the containers runs, also with those that start meanwhile'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from logs" -l no-color -d 'Show no colours'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from logs" -l no-log-prefix -d 'Do not begin lines with the container\'s name'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from logs" -s t -l timestamps -d 'Begin each line with its time'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ls" -l filter -d 'Show only what fits: name' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ls" -l format -d 'How it is shown: table, json' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ls" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ls" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ls" -s a -l all -d 'Show also projects that have nothing that runs'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Show only names'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from pause" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from pause" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from port" -l index -d 'Which of the service\'s containers' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from port" -l protocol -d 'tcp or udp' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from port" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from port" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ps" -l filter -d 'Show only what fits: status' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ps" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ps" -l orphans -d 'Show also containers of services that the files do not have (`--orphans=false` does not)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ps" -l status -d 'Show only those in this state: paused, restarting, removing, running, dead, created, exited' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ps" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ps" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ps" -s a -l all -d 'Show those that do not run, and those of `run`, too'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ps" -l no-trunc -d 'Show whole commands'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ps" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from ps" -l services -d 'Show only names of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from pull" -l policy -d 'When to ask the registry: missing, always' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from pull" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from pull" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from pull" -l ignore-buildable -d 'Leave out what can be built'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from pull" -l ignore-pull-failures -d 'Pull what can be pulled, and fail for nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from pull" -l include-deps -d 'Pull also for the services that these need'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from pull" -s q -l quiet -d 'Show nothing of the pulls'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from push" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from push" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from push" -l ignore-push-failures -d 'Push what can be pushed, and fail for nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from push" -l include-deps -d 'Push also those of the services that these need'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from push" -s q -l quiet -d 'Show nothing of the pushes'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from restart" -s t -l timeout -d 'Seconds before a container is killed' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from restart" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from restart" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from restart" -l no-deps -d 'Leave those running that are started again with these'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from rm" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from rm" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from rm" -s f -l force -d 'Do not ask'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from rm" -s s -l stop -d 'Stop those that run, and remove them too'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from rm" -s v -l volumes -d 'Remove their anonymous volumes too'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l cap-add -d 'Add a capability' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l cap-drop -d 'Drop a capability' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l entrypoint -d 'Program to start instead of the service\'s entrypoint' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -s e -l env -d 'Set a variable (KEY=VALUE), or hand on the host\'s (KEY)' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l env-from-file -d 'Read variables from a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -s i -l interactive -d 'Keep standard input open' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -s l -l label -d 'Set a label (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l name -d 'Name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -s p -l publish -d 'Publish a port ([[IP:]HOST:]CONTAINER[/PROTOCOL])' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l pull -d 'When to ask the registry: always, missing, never' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -s u -l user -d 'User and group, names or numbers (USER[:GROUP])' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -s v -l volume -d 'Mount a volume, a directory or a file ([SOURCE:]TARGET[:OPTIONS])' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -s w -l workdir -d 'Working directory inside the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l build -d 'Build the image before'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -s d -l detach -d 'Run in the background and print the container\'s id'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -s T -l no-TTY -d 'Give the program no terminal (it gets one where there is one)'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l no-deps -d 'Leave the services alone that this one needs'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Show nothing but the program\'s output'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l quiet-build -d 'Show nothing of builds'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l quiet-pull -d 'Show nothing of pulls'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l remove-orphans -d 'Remove the containers of services that the files do not have'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l rm -d 'Remove the container when it ends'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -s P -l service-ports -d 'Publish the ports that the service has'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from run" -l use-aliases -d 'Be found by the service\'s names'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from scale" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from scale" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from scale" -l no-deps -d 'Leave the services alone that these need'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from start" -l wait-timeout -d 'Wait so many seconds at the most' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from start" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from start" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from start" -l wait -d 'Wait until the services run or are healthy'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from stats" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from stats" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from stats" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from stats" -s a -l all -d 'Show those that do not run, too'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from stats" -l no-stream -d 'Show one measurement and end'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from stats" -l no-trunc -d 'Show whole ids'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from stop" -s t -l timeout -d 'Seconds before a container is killed' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from stop" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from stop" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from top" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from top" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from unpause" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from unpause" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l pull -d 'When to ask the registry: always, missing, never, build' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l scale -d 'So many containers of a service, whatever the file says' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l attach -d 'Show the output of these services alone' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l exit-code-from -d 'End with the exit code of this service\'s container, when one ends' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-attach -d 'Show not the output of these services' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -s t -l timeout -d 'Seconds before a container that has to end is killed' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l wait-timeout -d 'Wait so many seconds at the most' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l build -d 'Build the images before'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-build -d 'Build no image, even if it is missing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l force-recreate -d 'Make the containers anew, also where nothing has changed'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-recreate -d 'Leave containers as they are, also where something has changed'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l quiet-pull -d 'Show nothing of pulls'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l remove-orphans -d 'Remove the containers of services that the files do not have'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -s y -l yes -d 'Answer every question with yes'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l abort-on-container-exit -d 'End all containers when one ends'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l abort-on-container-failure -d 'End all containers when one ends with a failure'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l always-recreate-deps -d 'Make also those anew that others need'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l attach-dependencies -d 'Show also the output of services that others need'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -s d -l detach -d 'Leave the containers running and return'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-color -d 'No colours'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-deps -d 'Leave the services alone that others need'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-log-prefix -d 'Do not say before each line whose it is'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l no-start -d 'Make the containers and do not start them'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l quiet-build -d 'Show nothing of builds'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -s V -l renew-anon-volumes -d 'Give containers that are made anew new anonymous volumes'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l timestamps -d 'Say when each line was written'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from up" -l wait -d 'Wait until the services run or are healthy, and return'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from version" -s f -l format -d 'How it is shown: pretty, json' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from version" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from version" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from version" -l short -d 'Show the number alone'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from volumes" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from volumes" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from volumes" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from volumes" -s q -l quiet -d 'Show only names'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from wait" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from wait" -l dry-run -d 'Say what would be done, and do nothing'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from wait" -l down-project -d 'Then stop and remove the project\'s containers and networks'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "attach" -d 'Take part in the streams of a service\'s container'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "build" -d 'Build the images of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "commit" -d 'Make an image of what a service\'s container has become'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "config" -d 'Show the project as its files, merged and resolved, describe it'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "cp" -d 'Copy files between the containers of a service and the host'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "create" -d 'Make the containers of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "down" -d 'Stop and remove containers and networks'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "events" -d 'Show what happens to containers'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "exec" -d 'Execute a program in a running container'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write the root filesystem of a service\'s container as a tar archive'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "images" -d 'List the images of containers'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "kill" -d 'End containers at once, or send them a signal'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "logs" -d 'Show what containers wrote'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List projects'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "pause" -d 'Freeze the processes of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "port" -d 'Show where a port of a service is found'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "ps" -d 'List containers'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "pull" -d 'Pull the images of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "push" -d 'Push the images of services that are built'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "restart" -d 'Stop containers and start them again'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Remove containers that are stopped'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "run" -d 'Run a program in one more container of a service'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "scale" -d 'Say how many containers services have'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "start" -d 'Start containers that are there'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "stats" -d 'Show what containers use'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "stop" -d 'Stop containers'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "top" -d 'Show the processes of containers'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "unpause" -d 'Let the processes of paused services go on'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "up" -d 'Make and start the containers of services'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "version" -d 'Show versions'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "volumes" -d 'List volumes'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "wait" -d 'Wait until the containers of services end'
complete -c bryo -n "__fish_bryo_using_subcommand compose; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand login" -s u -l username -d 'User name' -r
complete -c bryo -n "__fish_bryo_using_subcommand login" -s p -l password -d 'Password, which everybody on this machine can read here: better --password-stdin' -r
complete -c bryo -n "__fish_bryo_using_subcommand login" -l tls-verify -d 'Speak TLS and verify certificates whatever is configured, or with =false neither' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand login" -l authfile -d 'File of registry credentials, instead of all others' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand login" -l cert-dir -d 'Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand login" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand login" -l password-stdin -d 'Take the password from standard input'
complete -c bryo -n "__fish_bryo_using_subcommand login" -l get-login -d 'Print the user who is logged in, instead'
complete -c bryo -n "__fish_bryo_using_subcommand logout" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand logout" -s a -l all -d 'Log out of every registry'
complete -c bryo -n "__fish_bryo_using_subcommand search" -s f -l filter -d 'Show only what fits: is-official=true, stars=3' -r
complete -c bryo -n "__fish_bryo_using_subcommand search" -l format -d 'Format: a Go template, table TEMPLATE, or json' -r
complete -c bryo -n "__fish_bryo_using_subcommand search" -l limit -d 'How many are shown at most' -r
complete -c bryo -n "__fish_bryo_using_subcommand search" -l tls-verify -d 'Speak TLS and verify certificates whatever is configured, or with =false neither' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand search" -l authfile -d 'File of registry credentials, instead of all others' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand search" -l cert-dir -d 'Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand search" -l creds -d 'User and password for the registry, which everybody on this machine can read here' -r
complete -c bryo -n "__fish_bryo_using_subcommand search" -l retry -d 'How many times to try again what failed and may go well the next time (4)' -r
complete -c bryo -n "__fish_bryo_using_subcommand search" -l retry-delay -d 'How long to wait before each of these tries, instead of longer each time' -r
complete -c bryo -n "__fish_bryo_using_subcommand search" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand search" -l no-trunc -d 'Do not shorten descriptions'
complete -c bryo -n "__fish_bryo_using_subcommand events" -s f -l filter -d 'Show only what fits: type, event, container, image, volume, network, label, scope' -r
complete -c bryo -n "__fish_bryo_using_subcommand events" -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand events" -l since -d 'Show what came after a moment (2024-01-31T15:04:05Z) or in the last while (42m)' -r
complete -c bryo -n "__fish_bryo_using_subcommand events" -l until -d 'End at a moment' -r
complete -c bryo -n "__fish_bryo_using_subcommand events" -l stream -d 'Go on when all that has happened is shown (`--stream=false` ends then)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand events" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand inspect" -s f -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand inspect" -l type -d 'Look only for one kind: container, image, network, volume, secret' -r
complete -c bryo -n "__fish_bryo_using_subcommand inspect" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand inspect" -s s -l size -d 'Show sizes of containers'
complete -c bryo -n "__fish_bryo_using_subcommand info" -s f -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand info" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand version" -s f -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand version" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand unshare" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand doctor" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand doctor" -l json -d 'Print the findings as JSON'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and not __fish_seen_subcommand_from enable disable status help" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and not __fish_seen_subcommand_from enable disable status help" -f -a "enable" -d 'Start containers of policy always and unless-stopped at boot'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and not __fish_seen_subcommand_from enable disable status help" -f -a "disable" -d 'Start no containers at boot'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and not __fish_seen_subcommand_from enable disable status help" -f -a "status" -d 'Show what starts which containers at boot; ends with 1 if nothing does'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and not __fish_seen_subcommand_from enable disable status help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and __fish_seen_subcommand_from enable" -l systemd -d 'By a unit of the user\'s systemd (the default where it runs)'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and __fish_seen_subcommand_from enable" -l cron -d 'By a line of the user\'s crontab'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and __fish_seen_subcommand_from enable" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and __fish_seen_subcommand_from disable" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and __fish_seen_subcommand_from status" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Start containers of policy always and unless-stopped at boot'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and __fish_seen_subcommand_from help" -f -a "disable" -d 'Start no containers at boot'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show what starts which containers at boot; ends with 1 if nothing does'
complete -c bryo -n "__fish_bryo_using_subcommand boot; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "run" -d 'Make and start a container from an image'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "create" -d 'Make a container from an image without starting it'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "attach" -d 'Take part in the streams of a running container'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "exec" -d 'Execute a program in a running container'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "start" -d 'Start stopped containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "stop" -d 'Stop running containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "restart" -d 'Stop containers and start them again'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "pause" -d 'Freeze all processes of running containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "unpause" -d 'Let the processes of paused containers go on'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "update" -d 'Change the settings of containers, also of running ones'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "kill" -d 'Send a signal to running containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "rm" -d 'Remove containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "remove" -d 'Remove containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "logs" -d 'Show what a container wrote'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "cp" -d 'Copy files between a container and the host'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "diff" -d 'Show what a container changed in its files'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "export" -d 'Write a container\'s root filesystem as a tar archive'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "commit" -d 'Make an image of what a container has become'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "mount" -d 'Run a command where a container\'s root is mounted'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "wait" -d 'Wait until containers stop, then print their exit codes'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "top" -d 'Show the processes of a container'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "stats" -d 'Show what running containers use'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "rename" -d 'Give a container another name'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "port" -d 'Show which ports of the host lead into a container'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "ls" -d 'List containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "ps" -d 'List containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "list" -d 'List containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "inspect" -d 'Show everything about containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "prune" -d 'Remove all containers that do not run'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "exists" -d 'Say by the exit code whether a container exists'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "clone" -d 'Make another container with the same settings'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "cleanup" -d 'Take away what a killed monitor left'
complete -c bryo -n "__fish_bryo_using_subcommand container; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm remove logs cp diff export commit mount wait top stats rename port ls ps list inspect prune exists clone cleanup help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l name -d 'Name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s h -l hostname -d 'Host name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l domainname -d 'NIS domain name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s u -l user -d 'User and group, names or numbers (USER[:GROUP])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l passwd -d 'Give the program\'s user an account where the image has none (podman\'s; --passwd=false for none with keep-id)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l hostuser -d 'Give a user of the host an account in the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l group-add -d 'Another group of the program, name or number, or `keep-groups` for those of your own' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s l -l label -d 'Set a label (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l label-file -d 'Read labels from a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l annotation -d 'Add an annotation of the runtime specification (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l cidfile -d 'Write the container\'s id to a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s e -l env -d 'Set a variable (KEY=VALUE), or hand on the host\'s (KEY)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l env-file -d 'Read variables from a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l env-merge -d 'Set a variable from another (KEY=${OTHER}more)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l unsetenv -d 'Leave a variable of the image out' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l umask -d 'umask of the program, octal' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l tz -d 'Time zone of the container (an area and city, or `local` for the host\'s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l oom-score-adj -d 'How soon the kernel ends it when memory is short (-1000 to 1000)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s w -l workdir -d 'Working directory inside the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l entrypoint -d 'Program to start instead of the image\'s entrypoint' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s a -l attach -d 'Attach only these streams: stdin, stdout, stderr' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l stop-signal -d 'Signal that stops the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l stop-timeout -d 'Seconds between that signal and SIGKILL' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l restart -d 'Start it again when it ends: no, on-failure[:N], always, unless-stopped' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s v -l volume -d 'Mount a volume, a directory or a file ([SOURCE:]TARGET[:OPTIONS])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l volume-driver -d 'Driver of the volumes that are made: only `local` exists' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l volumes-from -d 'Mount what other containers mount (CONTAINER[:ro])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l secret -d 'Hand in a secret (SECRET[,type=mount|env][,target=...][,uid=...][,gid=...][,mode=...])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l mount -d 'Attach a mount (type=volume|bind|tmpfs,source=...,target=...)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l tmpfs -d 'Mount a tmpfs (TARGET[:OPTIONS])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l shm-size -d 'Size of /dev/shm' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l network -l net -d 'Network of the container: none, host, pasta[:OPTIONS], slirp4netns[:OPTIONS], ns:PATH, container:NAME, or networks by name (name=NAME,alias=...,ip=...)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l network-alias -l net-alias -d 'Another name for the container in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l ip -d 'IPv4 address in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l ip6 -d 'IPv6 address in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l mac-address -d 'Hardware address in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l link-local-ip -d 'One more address of its interface' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l link -d 'Another name for another container of its network (CONTAINER[:NAME])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s p -l publish -d 'Publish a port ([[IP:]HOST:]CONTAINER[/PROTOCOL])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l host-port -d 'Let the container reach a port of the host\'s 127.0.0.1 as a port of host.docker.internal (PORT[:CONTAINER-PORT])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l egress -d 'Reach nothing outside of its networks but these (none, any, or HOST, ADDRESS, SUBNET, *.DOMAIN, each with :PORT or not)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l expose -d 'Say that the program listens on a port (PORT[-PORT][/PROTOCOL])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l add-host -d 'Another name in /etc/hosts (NAME:ADDRESS, `host-gateway` is the host)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l dns -d 'Name server to ask instead of the host\'s' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l dns-option -l dns-opt -d 'Option of the resolver' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l dns-search -d 'Domain in which short names are looked for (`.` for none)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l log-driver -d 'Where the output is kept: json-file, k8s-file, journald, none, passthrough' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l log-opt -d 'Option of the log driver (NAME=VALUE: max-size, max-file, compress, path, tag, labels, env, ...)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l health-cmd -d 'Program that checks the health (a line for /bin/sh, or a JSON array of words)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l health-interval -d 'Time between two checks (30s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l health-retries -d 'Failures in a row that mean bad health (3)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l health-start-period -d 'Time after the start in which failures do not count (0s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l health-start-interval -d 'Time between two checks while it lasts (5s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l health-timeout -d 'Time that one check may take (30s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l health-on-failure -d 'What follows from bad health: none, kill, restart, stop' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l cap-add -d 'Add a capability' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l cap-drop -d 'Drop a capability' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l security-opt -d 'Security option (no-new-privileges, seccomp=FILE|unconfined, systempaths=unconfined)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l sysctl -d 'Set a namespaced kernel parameter (NAME=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l ulimit -d 'Set a resource limit (NAME=SOFT[:HARD])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s m -l memory -d 'Memory that the container may use' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l memory-reservation -d 'Memory that is not taken from it while others have more' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l memory-swap -d 'Memory and swap together (-1: as much swap as there is)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l cpus -d 'Processors that it may use (1.5)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l cpu-period -d 'Length of a period of the processor quota, in microseconds' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l cpu-quota -d 'Processor time in each period, in microseconds' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s c -l cpu-shares -d 'Share of the processors where they are all in use (default 1024)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l cpuset-cpus -d 'Processors that it runs on (0-3, 0,1)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l cpuset-mems -d 'Memory nodes that it uses (0-3, 0,1)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l pids-limit -d 'Processes and threads that it may have (-1: any number)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l blkio-weight -d 'Share of the disks where they are busy (10 to 1000)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l blkio-weight-device -d 'Share of one disk (DEVICE:WEIGHT)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l device-read-bps -d 'Bytes a second read from a device (DEVICE:BYTES)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l device-write-bps -d 'Bytes a second written to a device (DEVICE:BYTES)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l device-read-iops -d 'Reads a second from a device (DEVICE:NUMBER)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l device-write-iops -d 'Writes a second to a device (DEVICE:NUMBER)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l device -d 'Give the container a device (SOURCE[:TARGET], or VENDOR/CLASS=NAME of the Container Device Interface)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l gpus -d 'Give the container GPUs: all, a number, or device=ID[,ID...]' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l userns -d 'User namespace: host, keep-id[:uid=N,gid=N], auto[:size=N], nomap, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l uidmap -d 'Map user ids (CONTAINER:HOME[:SIZE]; of home, 0 is you and 1 your first subordinate id)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l gidmap -d 'Map group ids, as --uidmap' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l pid -d 'pid namespace: host, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l ipc -d 'ipc namespace: private, shareable, none, host, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l uts -d 'uts namespace: host, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l cgroupns -d 'cgroup namespace: private, host' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l cgroup-parent -d 'Cgroup that the container\'s is made in: below bryo\'s own, or with a / before it within the tree that is yours' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l pull -d 'When to ask the registry: always, missing, never' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l platform -d 'Platform of the image (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l timeout -d 'End the program after so many seconds (0: never)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l requires -d 'Start these containers first' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l runtime -d 'OCI runtime (only `bryo`, which is its own)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l systemd -d 'Prepare the container for systemd (only `false`)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l isolation -d 'Isolation technology (only `default` exists on Linux)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l disable-content-trust -d 'Skip image verification (without meaning since docker removed content trust)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l detach-keys -d 'Keys that leave the container running' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l preserve-fd -d 'Give the program these descriptors too, under their own numbers (comma-separated)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l preserve-fds -d 'Give the program descriptors 3 to 3+N-1 too' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l sig-proxy -d 'Forward signals to the program' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l env-host -d 'Begin with the variables of the host'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l unsetenv-all -d 'Leave every variable of the image out'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l init -d 'Start an init that forwards signals and reaps processes'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s t -l tty -d 'Give the program a terminal'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s i -l interactive -d 'Keep standard input open'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l rm -d 'Remove the container when it ends'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l read-only -d 'Make the container\'s root filesystem read-only'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l read-only-tmpfs -d 'With --read-only: let /run, /tmp and /var/tmp be written, as a tmpfs each'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s P -l publish-all -d 'Publish every exposed port on a free port of the host'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l no-healthcheck -d 'Do not check the health, whatever the image says'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l privileged -d 'Take the container\'s guards away, as far as your own rights go'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Show no progress of a pull'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -l replace -d 'Remove the container that has the name already'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from run" -s d -l detach -d 'Run in the background and print the container\'s id'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l name -d 'Name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s h -l hostname -d 'Host name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l domainname -d 'NIS domain name of the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s u -l user -d 'User and group, names or numbers (USER[:GROUP])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l passwd -d 'Give the program\'s user an account where the image has none (podman\'s; --passwd=false for none with keep-id)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l hostuser -d 'Give a user of the host an account in the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l group-add -d 'Another group of the program, name or number, or `keep-groups` for those of your own' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s l -l label -d 'Set a label (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l label-file -d 'Read labels from a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l annotation -d 'Add an annotation of the runtime specification (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l cidfile -d 'Write the container\'s id to a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s e -l env -d 'Set a variable (KEY=VALUE), or hand on the host\'s (KEY)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l env-file -d 'Read variables from a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l env-merge -d 'Set a variable from another (KEY=${OTHER}more)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l unsetenv -d 'Leave a variable of the image out' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l umask -d 'umask of the program, octal' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l tz -d 'Time zone of the container (an area and city, or `local` for the host\'s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l oom-score-adj -d 'How soon the kernel ends it when memory is short (-1000 to 1000)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s w -l workdir -d 'Working directory inside the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l entrypoint -d 'Program to start instead of the image\'s entrypoint' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s a -l attach -d 'Attach only these streams: stdin, stdout, stderr' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l stop-signal -d 'Signal that stops the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l stop-timeout -d 'Seconds between that signal and SIGKILL' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l restart -d 'Start it again when it ends: no, on-failure[:N], always, unless-stopped' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s v -l volume -d 'Mount a volume, a directory or a file ([SOURCE:]TARGET[:OPTIONS])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l volume-driver -d 'Driver of the volumes that are made: only `local` exists' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l volumes-from -d 'Mount what other containers mount (CONTAINER[:ro])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l secret -d 'Hand in a secret (SECRET[,type=mount|env][,target=...][,uid=...][,gid=...][,mode=...])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l mount -d 'Attach a mount (type=volume|bind|tmpfs,source=...,target=...)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l tmpfs -d 'Mount a tmpfs (TARGET[:OPTIONS])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l shm-size -d 'Size of /dev/shm' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l network -l net -d 'Network of the container: none, host, pasta[:OPTIONS], slirp4netns[:OPTIONS], ns:PATH, container:NAME, or networks by name (name=NAME,alias=...,ip=...)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l network-alias -l net-alias -d 'Another name for the container in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l ip -d 'IPv4 address in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l ip6 -d 'IPv6 address in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l mac-address -d 'Hardware address in its network' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l link-local-ip -d 'One more address of its interface' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l link -d 'Another name for another container of its network (CONTAINER[:NAME])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s p -l publish -d 'Publish a port ([[IP:]HOST:]CONTAINER[/PROTOCOL])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l host-port -d 'Let the container reach a port of the host\'s 127.0.0.1 as a port of host.docker.internal (PORT[:CONTAINER-PORT])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l egress -d 'Reach nothing outside of its networks but these (none, any, or HOST, ADDRESS, SUBNET, *.DOMAIN, each with :PORT or not)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l expose -d 'Say that the program listens on a port (PORT[-PORT][/PROTOCOL])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l add-host -d 'Another name in /etc/hosts (NAME:ADDRESS, `host-gateway` is the host)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l dns -d 'Name server to ask instead of the host\'s' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l dns-option -l dns-opt -d 'Option of the resolver' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l dns-search -d 'Domain in which short names are looked for (`.` for none)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l log-driver -d 'Where the output is kept: json-file, k8s-file, journald, none, passthrough' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l log-opt -d 'Option of the log driver (NAME=VALUE: max-size, max-file, compress, path, tag, labels, env, ...)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l health-cmd -d 'Program that checks the health (a line for /bin/sh, or a JSON array of words)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l health-interval -d 'Time between two checks (30s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l health-retries -d 'Failures in a row that mean bad health (3)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l health-start-period -d 'Time after the start in which failures do not count (0s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l health-start-interval -d 'Time between two checks while it lasts (5s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l health-timeout -d 'Time that one check may take (30s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l health-on-failure -d 'What follows from bad health: none, kill, restart, stop' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l cap-add -d 'Add a capability' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l cap-drop -d 'Drop a capability' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l security-opt -d 'Security option (no-new-privileges, seccomp=FILE|unconfined, systempaths=unconfined)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l sysctl -d 'Set a namespaced kernel parameter (NAME=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l ulimit -d 'Set a resource limit (NAME=SOFT[:HARD])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s m -l memory -d 'Memory that the container may use' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l memory-reservation -d 'Memory that is not taken from it while others have more' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l memory-swap -d 'Memory and swap together (-1: as much swap as there is)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l cpus -d 'Processors that it may use (1.5)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l cpu-period -d 'Length of a period of the processor quota, in microseconds' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l cpu-quota -d 'Processor time in each period, in microseconds' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s c -l cpu-shares -d 'Share of the processors where they are all in use (default 1024)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l cpuset-cpus -d 'Processors that it runs on (0-3, 0,1)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l cpuset-mems -d 'Memory nodes that it uses (0-3, 0,1)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l pids-limit -d 'Processes and threads that it may have (-1: any number)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l blkio-weight -d 'Share of the disks where they are busy (10 to 1000)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l blkio-weight-device -d 'Share of one disk (DEVICE:WEIGHT)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l device-read-bps -d 'Bytes a second read from a device (DEVICE:BYTES)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l device-write-bps -d 'Bytes a second written to a device (DEVICE:BYTES)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l device-read-iops -d 'Reads a second from a device (DEVICE:NUMBER)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l device-write-iops -d 'Writes a second to a device (DEVICE:NUMBER)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l device -d 'Give the container a device (SOURCE[:TARGET], or VENDOR/CLASS=NAME of the Container Device Interface)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l gpus -d 'Give the container GPUs: all, a number, or device=ID[,ID...]' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l userns -d 'User namespace: host, keep-id[:uid=N,gid=N], auto[:size=N], nomap, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l uidmap -d 'Map user ids (CONTAINER:HOME[:SIZE]; of home, 0 is you and 1 your first subordinate id)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l gidmap -d 'Map group ids, as --uidmap' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l pid -d 'pid namespace: host, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l ipc -d 'ipc namespace: private, shareable, none, host, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l uts -d 'uts namespace: host, container:NAME' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l cgroupns -d 'cgroup namespace: private, host' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l cgroup-parent -d 'Cgroup that the container\'s is made in: below bryo\'s own, or with a / before it within the tree that is yours' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l pull -d 'When to ask the registry: always, missing, never' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l platform -d 'Platform of the image (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l timeout -d 'End the program after so many seconds (0: never)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l requires -d 'Start these containers first' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l runtime -d 'OCI runtime (only `bryo`, which is its own)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l systemd -d 'Prepare the container for systemd (only `false`)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l isolation -d 'Isolation technology (only `default` exists on Linux)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l disable-content-trust -d 'Skip image verification (without meaning since docker removed content trust)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l env-host -d 'Begin with the variables of the host'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l unsetenv-all -d 'Leave every variable of the image out'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l init -d 'Start an init that forwards signals and reaps processes'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s t -l tty -d 'Give the program a terminal'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s i -l interactive -d 'Keep standard input open'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l rm -d 'Remove the container when it ends'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l read-only -d 'Make the container\'s root filesystem read-only'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l read-only-tmpfs -d 'With --read-only: let /run, /tmp and /var/tmp be written, as a tmpfs each'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s P -l publish-all -d 'Publish every exposed port on a free port of the host'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l no-healthcheck -d 'Do not check the health, whatever the image says'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l privileged -d 'Take the container\'s guards away, as far as your own rights go'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -s q -l quiet -d 'Show no progress of a pull'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from create" -l replace -d 'Remove the container that has the name already'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from attach" -l detach-keys -d 'Keys that leave the container running' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from attach" -l sig-proxy -d 'Forward signals to the program' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from attach" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from attach" -l no-stdin -d 'Do not attach standard input'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exec" -l detach-keys -d 'Keys that leave the program running' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exec" -s e -l env -d 'Set a variable (KEY=VALUE), or hand on the host\'s (KEY)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exec" -l env-file -d 'Read variables from a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exec" -l preserve-fd -d 'Give the program these descriptors too, under their own numbers (comma-separated)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exec" -l preserve-fds -d 'Give the program descriptors 3 to 3+N-1 too' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exec" -s u -l user -d 'User and group, names or numbers (USER[:GROUP])' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exec" -s w -l workdir -d 'Working directory inside the container' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exec" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exec" -s d -l detach -d 'Run in the background'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exec" -s i -l interactive -d 'Keep standard input open'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exec" -l privileged -d 'Give the program all capabilities that a container can have'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exec" -s t -l tty -d 'Give the program a terminal'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from start" -s f -l filter -d 'Start those of them that fit (restart-policy=always, should-start-on-boot=true, and what ps takes)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from start" -l detach-keys -d 'Keys that leave the container running' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from start" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from start" -l all -d 'Start all containers that do not run'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from start" -s a -l attach -d 'Show the output and forward signals'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from start" -s i -l interactive -d 'Attach standard input'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from stop" -s s -l signal -d 'Signal to send' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from stop" -s t -l timeout -l time -d 'Seconds to wait before killing it (-1: for ever)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from stop" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from restart" -s s -l signal -d 'Signal to send' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from restart" -s t -l timeout -l time -d 'Seconds to wait before killing it (-1: for ever)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from restart" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from pause" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from unpause" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l restart -d 'Start it again when it ends: no, on-failure[:N], always, unless-stopped' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l egress -d 'Reach nothing outside of its networks but these (none, any, or HOST, ADDRESS, SUBNET, *.DOMAIN, each with :PORT or not)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -s m -l memory -d 'Memory that the container may use' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l memory-reservation -d 'Memory that is not taken from it while others have more' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l memory-swap -d 'Memory and swap together (-1: as much swap as there is)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l cpus -d 'Processors that it may use (1.5)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l cpu-period -d 'Length of a period of the processor quota, in microseconds' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l cpu-quota -d 'Processor time in each period, in microseconds' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -s c -l cpu-shares -d 'Share of the processors where they are all in use (default 1024)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l cpuset-cpus -d 'Processors that it runs on (0-3, 0,1)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l cpuset-mems -d 'Memory nodes that it uses (0-3, 0,1)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l pids-limit -d 'Processes and threads that it may have (-1: any number)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l blkio-weight -d 'Share of the disks where they are busy (10 to 1000)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l health-cmd -d 'Program that checks the health (a line for /bin/sh, or a JSON array of words)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l health-interval -d 'Time between two checks (30s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l health-retries -d 'Failures in a row that mean bad health (3)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l health-start-period -d 'Time after the start in which failures do not count (0s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l health-start-interval -d 'Time between two checks while it lasts (5s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l health-timeout -d 'Time that one check may take (30s)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l health-on-failure -d 'What follows from bad health: none, kill, restart, stop' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l log-opt -d 'Bounds of the log\'s files (max-size=SIZE, max-file=NUMBER)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from update" -l no-healthcheck -d 'Do not check the health, whatever the image says'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from kill" -s s -l signal -d 'Signal to send' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from kill" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from rm" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from rm" -s f -l force -d 'Kill running containers first'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from rm" -s v -l volumes -d 'Remove their anonymous volumes too'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from remove" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from remove" -s f -l force -d 'Kill running containers first'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from remove" -s v -l volumes -d 'Remove their anonymous volumes too'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from logs" -s n -l tail -d 'Show only so many lines from the end' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from logs" -l since -d 'Show what came after a moment (2024-01-31T15:04:05Z) or in the last while (42m)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from logs" -l until -d 'Show what came before a moment' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from logs" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from logs" -l details -d 'Show the attributes that --log-opt gave to the lines'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from logs" -s f -l follow -d 'Go on while the container writes'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from logs" -l names -d 'Of several containers, begin each line with the name instead of the id'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from logs" -s t -l timestamps -d 'Begin each line with its time'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from cp" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from cp" -s a -l archive -d 'Keep the owners of files'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from cp" -s L -l follow-link -d 'Copy what the symlink SOURCE stands for'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from cp" -s q -l quiet -d 'Do not say how much was copied'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from diff" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from export" -s o -l output -d 'Write to a file, `-` for standard output' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from export" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from commit" -s a -l author -d 'Who made it' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from commit" -s c -l change -d 'Change a setting by a Dockerfile instruction (CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from commit" -s m -l message -d 'Say something about the image' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from commit" -s p -l pause -d 'Pause the container meanwhile (default true)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from commit" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from commit" -l no-pause -d 'Do not pause the container meanwhile'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from mount" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from wait" -l condition -d 'Wait for this instead: created, running, paused, stopped, healthy, unhealthy (may be given several times)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from wait" -s i -l interval -d 'Look at the condition at least so often (250ms, or 250 for as many milliseconds)' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from wait" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from wait" -l ignore -d 'Say -1 of a container that does not exist'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from top" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from stats" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from stats" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from stats" -s a -l all -d 'Show those that do not run, too'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from stats" -l no-stream -d 'Show one measurement and end'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from stats" -l no-trunc -d 'Show whole ids'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from rename" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from port" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ls" -s f -l filter -d 'Show only what fits: id, name, label, status, exited, ancestor, before, since, volume, network, publish, expose' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ls" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ls" -s n -l last -d 'Show the last so many made, whatever their state' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ls" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ls" -s a -l all -d 'Show those that do not run, too'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ls" -s l -l latest -d 'Show the one made last, whatever its state'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ls" -l no-trunc -d 'Show whole ids and commands'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ls" -s s -l size -d 'Show sizes'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ps" -s f -l filter -d 'Show only what fits: id, name, label, status, exited, ancestor, before, since, volume, network, publish, expose' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ps" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ps" -s n -l last -d 'Show the last so many made, whatever their state' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ps" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ps" -s a -l all -d 'Show those that do not run, too'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ps" -s l -l latest -d 'Show the one made last, whatever its state'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ps" -l no-trunc -d 'Show whole ids and commands'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ps" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from ps" -s s -l size -d 'Show sizes'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from list" -s f -l filter -d 'Show only what fits: id, name, label, status, exited, ancestor, before, since, volume, network, publish, expose' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from list" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from list" -s n -l last -d 'Show the last so many made, whatever their state' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from list" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from list" -s a -l all -d 'Show those that do not run, too'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from list" -s l -l latest -d 'Show the one made last, whatever its state'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from list" -l no-trunc -d 'Show whole ids and commands'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from list" -s s -l size -d 'Show sizes'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from inspect" -s f -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from inspect" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from inspect" -s s -l size -d 'Show sizes'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from prune" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from exists" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from clone" -l name -d 'Its name' -r
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from clone" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from clone" -l destroy -d 'Remove the other one'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from clone" -s f -l force -d 'With --destroy: although it runs'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from clone" -l run -d 'Start it'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from cleanup" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from cleanup" -s a -l all -d 'Clean up all that do not run'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from cleanup" -l rm -d 'Remove them, too'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "run" -d 'Make and start a container from an image'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "create" -d 'Make a container from an image without starting it'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "attach" -d 'Take part in the streams of a running container'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "exec" -d 'Execute a program in a running container'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "start" -d 'Start stopped containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "stop" -d 'Stop running containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "restart" -d 'Stop containers and start them again'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "pause" -d 'Freeze all processes of running containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "unpause" -d 'Let the processes of paused containers go on'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "update" -d 'Change the settings of containers, also of running ones'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "kill" -d 'Send a signal to running containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Remove containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "logs" -d 'Show what a container wrote'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "cp" -d 'Copy files between a container and the host'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "diff" -d 'Show what a container changed in its files'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write a container\'s root filesystem as a tar archive'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "commit" -d 'Make an image of what a container has become'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "mount" -d 'Run a command where a container\'s root is mounted'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "wait" -d 'Wait until containers stop, then print their exit codes'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "top" -d 'Show the processes of a container'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "stats" -d 'Show what running containers use'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "rename" -d 'Give a container another name'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "port" -d 'Show which ports of the host lead into a container'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show everything about containers'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove all containers that do not run'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "exists" -d 'Say by the exit code whether a container exists'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "clone" -d 'Make another container with the same settings'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "cleanup" -d 'Take away what a killed monitor left'
complete -c bryo -n "__fish_bryo_using_subcommand container; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "build" -d 'Make an image of a Dockerfile'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "pull" -d 'Download an image from a registry'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "push" -d 'Upload an image to a registry'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "load" -d 'Load images from an archive that `save` made'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "save" -d 'Write images to an archive that `load` reads'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "import" -d 'Make an image from a root filesystem\'s archive'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "tag" -d 'Give an image another name'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "history" -d 'Show the steps that made an image'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "untag" -d 'Take names away from an image'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "ls" -d 'List images'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "list" -d 'List images'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "rm" -d 'Remove one or more images'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "remove" -d 'Remove one or more images'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "inspect" -d 'Show everything about images'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "prune" -d 'Remove images that nobody needs'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "exists" -d 'Say by the exit code whether an image exists'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "mount" -d 'Run a command where an image\'s root is mounted'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "scp" -d 'Copy an image to another host\'s bryo, or from it'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "tree" -d 'Show the layers of an image'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "diff" -d 'Show what the topmost layer of an image changes'
complete -c bryo -n "__fish_bryo_using_subcommand image; and not __fish_seen_subcommand_from build pull push load save import tag history untag ls list rm remove inspect prune exists mount scp tree diff help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -s f -l file -d 'Dockerfile, `-` for standard input (default: PATH/Dockerfile)' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -s t -l tag -d 'Name for the image: NAME[:TAG]' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l build-arg -d 'Value of an ARG: NAME=VALUE, or NAME for the host\'s variable' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l build-context -d 'Another place for --from and FROM: NAME=DIRECTORY|docker-image://IMAGE|oci-layout://DIRECTORY[:TAG|@DIGEST]|URL' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l target -d 'Stage to build, by name or number (default: the last one)' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l label -d 'Label of the image' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l rm -d 'Remove the containers of steps, which is done whatever is said' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l no-cache-filter -d 'Do the steps of this stage anew' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l platform -d 'What the image is for (os/arch[/variant]), if not for this host; several make an index' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l network -d 'Network of RUN: default, none, host, pasta, or the name of one' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l add-host -d 'Another name in /etc/hosts of RUN (NAME:ADDRESS, `host-gateway` is the host)' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l shm-size -d 'Size of /dev/shm of RUN' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l ulimit -d 'Resource limit of RUN: NAME=SOFT[:HARD]' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l cgroup-parent -d 'Cgroup that those of RUN are made in: below bryo\'s own, or with a / before it within the tree that is yours' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l secret -d 'Secret of RUN --mount=type=secret: id=NAME[,src=FILE|,env=VARIABLE]' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l ssh -d 'Agent for RUN --mount=type=ssh: default, ID[=SOCKET], or ID=KEY[,KEY] for one that has only these keys' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l source-date-epoch -d 'Nothing in the image is newer than this (seconds since 1970)' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l iidfile -d 'Write the image\'s id to a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l cache-from -d 'Take what steps came to from: IMAGE, type=registry,ref=IMAGE, type=local,src=DIRECTORY' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l cache-to -d 'Write what steps came to: type=registry,ref=IMAGE, type=local,dest=DIRECTORY, type=inline; with mode=min or max' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -s o -l output -d 'Where it goes: DIRECTORY, - (a tar), or type=TYPE[,dest=PLACE][,name=NAME][,push=BOOL] with local, tar, oci, docker, image, registry or cacheonly as TYPE' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l annotation -d 'Annotation: [manifest|index|manifest-descriptor|index-descriptor[PLATFORM]:]NAME=VALUE' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l attest -d 'Say something of the image: type=sbom, type=provenance[,mode=min|max]' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l allow -d 'What may be done beyond the usual: network.host, security.insecure, device[=NAME]' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l metadata-file -d 'Write what was built to a file, as JSON' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l progress -d 'How progress looks: auto, plain, tty, quiet, rawjson' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l sbom -d 'Say what is installed in the image: true, false' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l provenance -d 'Say where the image came from: true, false, mode=min, mode=max' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l builder -d 'Builder to use: there is one, whatever it is called' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l call -d 'What to do: build, check, outline or targets, with format=json as its JSON (default: build)' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l squash -d 'Make one layer of all that the steps add to the base image'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -s q -l quiet -d 'Print the image\'s id and nothing else'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l no-cache -d 'Do every step anew'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l pull -d 'Ask the registry for newer base images'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l load -d 'Put the image into the store, also where it goes elsewhere'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l push -d 'Push the image to the registries of its names'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -l check -d 'Only look for what is wrong with the Dockerfile: --call=check'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from build" -s D -l debug -d 'Say everything of every warning, and write a line per step of the engine'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -l platform -d 'Platform to choose from an index (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -l verify-signature -d 'Take the image only if cosign has signed it with this key: a public key in PEM' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -l disable-content-trust -d 'Skip image verification (without meaning since docker removed content trust)' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -l tls-verify -d 'Speak TLS and verify certificates whatever is configured, or with =false neither' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -l authfile -d 'File of registry credentials, instead of all others' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -l cert-dir -d 'Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -l creds -d 'User and password for the registry, which everybody on this machine can read here' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -l retry -d 'How many times to try again what failed and may go well the next time (4)' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -l retry-delay -d 'How long to wait before each of these tries, instead of longer each time' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -s a -l all-tags -d 'Pull all tags of the repository'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -l all-platforms -d 'Pull the images of every platform'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from pull" -s q -l quiet -d 'Print only the image\'s name'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -l platform -d 'Push only if the image is for this platform (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -l compression-format -l compression -d 'How layers are compressed that are sent: gzip, zstd, zstd:chunked or none' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -l compression-level -d 'Level of that compression' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -l disable-content-trust -d 'Skip image signing (without meaning since docker removed content trust)' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -l tls-verify -d 'Speak TLS and verify certificates whatever is configured, or with =false neither' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -l authfile -d 'File of registry credentials, instead of all others' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -l cert-dir -d 'Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -l creds -d 'User and password for the registry, which everybody on this machine can read here' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -l retry -d 'How many times to try again what failed and may go well the next time (4)' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -l retry-delay -d 'How long to wait before each of these tries, instead of longer each time' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -s a -l all-tags -d 'Push all tags of the repository'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -s q -l quiet -d 'Print only the image\'s name'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from push" -l require-digest -d 'Push nothing if the manifest would get another digest than it has here'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from load" -s i -l input -d 'Read from an archive instead of standard input' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from load" -l platform -d 'Load only the images for a platform' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from load" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from load" -s q -l quiet -d 'Show no progress'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from save" -s o -l output -d 'Write to a file (or directory), instead of standard output' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from save" -l platform -d 'Fail where the image is for another platform' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from save" -l format -d 'What to write' -r -f -a "docker-archive\t'What docker and podman load, with an OCI layout inside'
oci-archive\t'An OCI layout as a tar'
oci-dir\t'An OCI layout as a directory'
docker-dir\t'A directory as skopeo\'s `dir:`'"
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from save" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from save" -l compress -d 'Compress the layers in a directory with gzip'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from save" -l require-digest -d 'Fail where a manifest would get another digest than it has'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from save" -s q -l quiet -d 'Do not say which manifests get another digest'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from import" -s c -l change -d 'Set something by a Dockerfile instruction (CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR)' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from import" -s m -l message -d 'Say something about the image' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from import" -l platform -d 'What it is for (os/arch[/variant]), if not for this host' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from import" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from tag" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from history" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from history" -s H -l human -d 'Sizes and dates for people (default true)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from history" -l platform -d 'Of this platform (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from history" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from history" -l no-trunc -d 'Show whole ids and commands'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from history" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from untag" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from ls" -s f -l filter -d 'Show only what fits: dangling, label, before, since, until, reference' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from ls" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from ls" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from ls" -s a -l all -d 'Show images without a name too'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from ls" -l digests -d 'Show digests'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from ls" -l no-trunc -d 'Show whole ids'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from ls" -l tree -d 'Show each image with its platform, what it takes and whether it is used'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from list" -s f -l filter -d 'Show only what fits: dangling, label, before, since, until, reference' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from list" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from list" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from list" -s a -l all -d 'Show images without a name too'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from list" -l digests -d 'Show digests'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from list" -l no-trunc -d 'Show whole ids'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from list" -l tree -d 'Show each image with its platform, what it takes and whether it is used'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from rm" -l platform -d 'Remove only images of this platform (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from rm" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from rm" -s f -l force -d 'Remove every name, and images that stopped containers use'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from rm" -l no-prune -d 'Keep untagged images that a removed one was made from'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from remove" -l platform -d 'Remove only images of this platform (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from remove" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from remove" -s f -l force -d 'Remove every name, and images that stopped containers use'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from remove" -l no-prune -d 'Keep untagged images that a removed one was made from'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from inspect" -s f -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from inspect" -l platform -d 'Of this platform (os/arch[/variant])' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from inspect" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE], dangling=BOOL' -r
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from prune" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove all images without a container, not just those without a tag'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from exists" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from mount" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from scp" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from scp" -s q -l quiet -d 'Say nothing but errors'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from tree" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from diff" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "build" -d 'Make an image of a Dockerfile'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "pull" -d 'Download an image from a registry'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "push" -d 'Upload an image to a registry'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "load" -d 'Load images from an archive that `save` made'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "save" -d 'Write images to an archive that `load` reads'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "import" -d 'Make an image from a root filesystem\'s archive'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "tag" -d 'Give an image another name'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "history" -d 'Show the steps that made an image'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "untag" -d 'Take names away from an image'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List images'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Remove one or more images'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show everything about images'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove images that nobody needs'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "exists" -d 'Say by the exit code whether an image exists'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "mount" -d 'Run a command where an image\'s root is mounted'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "scp" -d 'Copy an image to another host\'s bryo, or from it'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "tree" -d 'Show the layers of an image'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "diff" -d 'Show what the topmost layer of an image changes'
complete -c bryo -n "__fish_bryo_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and not __fish_seen_subcommand_from build prune help" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and not __fish_seen_subcommand_from build prune help" -f -a "build" -d 'Make an image of a Dockerfile'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and not __fish_seen_subcommand_from build prune help" -f -a "prune" -d 'Remove what builds keep for the next one'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and not __fish_seen_subcommand_from build prune help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -s f -l file -d 'Dockerfile, `-` for standard input (default: PATH/Dockerfile)' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -s t -l tag -d 'Name for the image: NAME[:TAG]' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l build-arg -d 'Value of an ARG: NAME=VALUE, or NAME for the host\'s variable' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l build-context -d 'Another place for --from and FROM: NAME=DIRECTORY|docker-image://IMAGE|oci-layout://DIRECTORY[:TAG|@DIGEST]|URL' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l target -d 'Stage to build, by name or number (default: the last one)' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l label -d 'Label of the image' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l rm -d 'Remove the containers of steps, which is done whatever is said' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l no-cache-filter -d 'Do the steps of this stage anew' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l platform -d 'What the image is for (os/arch[/variant]), if not for this host; several make an index' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l network -d 'Network of RUN: default, none, host, pasta, or the name of one' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l add-host -d 'Another name in /etc/hosts of RUN (NAME:ADDRESS, `host-gateway` is the host)' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l shm-size -d 'Size of /dev/shm of RUN' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l ulimit -d 'Resource limit of RUN: NAME=SOFT[:HARD]' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l cgroup-parent -d 'Cgroup that those of RUN are made in: below bryo\'s own, or with a / before it within the tree that is yours' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l secret -d 'Secret of RUN --mount=type=secret: id=NAME[,src=FILE|,env=VARIABLE]' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l ssh -d 'Agent for RUN --mount=type=ssh: default, ID[=SOCKET], or ID=KEY[,KEY] for one that has only these keys' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l source-date-epoch -d 'Nothing in the image is newer than this (seconds since 1970)' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l iidfile -d 'Write the image\'s id to a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l cache-from -d 'Take what steps came to from: IMAGE, type=registry,ref=IMAGE, type=local,src=DIRECTORY' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l cache-to -d 'Write what steps came to: type=registry,ref=IMAGE, type=local,dest=DIRECTORY, type=inline; with mode=min or max' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -s o -l output -d 'Where it goes: DIRECTORY, - (a tar), or type=TYPE[,dest=PLACE][,name=NAME][,push=BOOL] with local, tar, oci, docker, image, registry or cacheonly as TYPE' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l annotation -d 'Annotation: [manifest|index|manifest-descriptor|index-descriptor[PLATFORM]:]NAME=VALUE' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l attest -d 'Say something of the image: type=sbom, type=provenance[,mode=min|max]' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l allow -d 'What may be done beyond the usual: network.host, security.insecure, device[=NAME]' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l metadata-file -d 'Write what was built to a file, as JSON' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l progress -d 'How progress looks: auto, plain, tty, quiet, rawjson' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l sbom -d 'Say what is installed in the image: true, false' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l provenance -d 'Say where the image came from: true, false, mode=min, mode=max' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l builder -d 'Builder to use: there is one, whatever it is called' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l call -d 'What to do: build, check, outline or targets, with format=json as its JSON (default: build)' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l squash -d 'Make one layer of all that the steps add to the base image'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -s q -l quiet -d 'Print the image\'s id and nothing else'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l no-cache -d 'Do every step anew'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l pull -d 'Ask the registry for newer base images'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l load -d 'Put the image into the store, also where it goes elsewhere'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l push -d 'Push the image to the registries of its names'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -l check -d 'Only look for what is wrong with the Dockerfile: --call=check'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from build" -s D -l debug -d 'Say everything of every warning, and write a line per step of the engine'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits: until=DURATION, id=ID, type=TYPE, description=TEXT, shared=BOOL, private=BOOL' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from prune" -l max-used-space -d 'Leave no more than that' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from prune" -l reserved-space -d 'Leave no less than that' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from prune" -l min-free-space -d 'Remove until so much of the file system is free' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from prune" -l builder -d 'Builder whose cache it is: there is one, whatever it is called' -r
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from prune" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove also what images have'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from prune" -l verbose -d 'Show everything of what goes'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from prune" -s D -l debug -d 'Write a line per step of the engine'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from help" -f -a "build" -d 'Make an image of a Dockerfile'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove what builds keep for the next one'
complete -c bryo -n "__fish_bryo_using_subcommand builder; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "build" -d 'Make an image of a Dockerfile'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "b" -d 'Make an image of a Dockerfile'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "bake" -d 'Make the images that files describe'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "f" -d 'Make the images that files describe'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "du" -d 'Show what builds keep for the next one'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "prune" -d 'Remove what builds keep for the next one'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "ls" -d 'List builders: there is one'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "inspect" -d 'Show the builder'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "create" -d 'Have a builder of that name: it is always the same'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "use" -d 'Use the builder of that name: it is always the same'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "rm" -d 'Forget a builder: it stays'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "imagetools" -d 'Work with images in registries'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "version" -d 'Show versions'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and not __fish_seen_subcommand_from build b bake f du prune ls inspect create use rm imagetools version help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -s f -l file -d 'Dockerfile, `-` for standard input (default: PATH/Dockerfile)' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -s t -l tag -d 'Name for the image: NAME[:TAG]' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l build-arg -d 'Value of an ARG: NAME=VALUE, or NAME for the host\'s variable' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l build-context -d 'Another place for --from and FROM: NAME=DIRECTORY|docker-image://IMAGE|oci-layout://DIRECTORY[:TAG|@DIGEST]|URL' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l target -d 'Stage to build, by name or number (default: the last one)' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l label -d 'Label of the image' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l rm -d 'Remove the containers of steps, which is done whatever is said' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l no-cache-filter -d 'Do the steps of this stage anew' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l platform -d 'What the image is for (os/arch[/variant]), if not for this host; several make an index' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l network -d 'Network of RUN: default, none, host, pasta, or the name of one' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l add-host -d 'Another name in /etc/hosts of RUN (NAME:ADDRESS, `host-gateway` is the host)' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l shm-size -d 'Size of /dev/shm of RUN' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l ulimit -d 'Resource limit of RUN: NAME=SOFT[:HARD]' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l cgroup-parent -d 'Cgroup that those of RUN are made in: below bryo\'s own, or with a / before it within the tree that is yours' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l secret -d 'Secret of RUN --mount=type=secret: id=NAME[,src=FILE|,env=VARIABLE]' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l ssh -d 'Agent for RUN --mount=type=ssh: default, ID[=SOCKET], or ID=KEY[,KEY] for one that has only these keys' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l source-date-epoch -d 'Nothing in the image is newer than this (seconds since 1970)' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l iidfile -d 'Write the image\'s id to a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l cache-from -d 'Take what steps came to from: IMAGE, type=registry,ref=IMAGE, type=local,src=DIRECTORY' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l cache-to -d 'Write what steps came to: type=registry,ref=IMAGE, type=local,dest=DIRECTORY, type=inline; with mode=min or max' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -s o -l output -d 'Where it goes: DIRECTORY, - (a tar), or type=TYPE[,dest=PLACE][,name=NAME][,push=BOOL] with local, tar, oci, docker, image, registry or cacheonly as TYPE' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l annotation -d 'Annotation: [manifest|index|manifest-descriptor|index-descriptor[PLATFORM]:]NAME=VALUE' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l attest -d 'Say something of the image: type=sbom, type=provenance[,mode=min|max]' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l allow -d 'What may be done beyond the usual: network.host, security.insecure, device[=NAME]' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l metadata-file -d 'Write what was built to a file, as JSON' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l progress -d 'How progress looks: auto, plain, tty, quiet, rawjson' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l sbom -d 'Say what is installed in the image: true, false' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l provenance -d 'Say where the image came from: true, false, mode=min, mode=max' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l builder -d 'Builder to use: there is one, whatever it is called' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l call -d 'What to do: build, check, outline or targets, with format=json as its JSON (default: build)' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l squash -d 'Make one layer of all that the steps add to the base image'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -s q -l quiet -d 'Print the image\'s id and nothing else'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l no-cache -d 'Do every step anew'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l pull -d 'Ask the registry for newer base images'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l load -d 'Put the image into the store, also where it goes elsewhere'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l push -d 'Push the image to the registries of its names'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -l check -d 'Only look for what is wrong with the Dockerfile: --call=check'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from build" -s D -l debug -d 'Say everything of every warning, and write a line per step of the engine'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -s f -l file -d 'Dockerfile, `-` for standard input (default: PATH/Dockerfile)' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -s t -l tag -d 'Name for the image: NAME[:TAG]' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l build-arg -d 'Value of an ARG: NAME=VALUE, or NAME for the host\'s variable' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l build-context -d 'Another place for --from and FROM: NAME=DIRECTORY|docker-image://IMAGE|oci-layout://DIRECTORY[:TAG|@DIGEST]|URL' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l target -d 'Stage to build, by name or number (default: the last one)' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l label -d 'Label of the image' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l rm -d 'Remove the containers of steps, which is done whatever is said' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l no-cache-filter -d 'Do the steps of this stage anew' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l platform -d 'What the image is for (os/arch[/variant]), if not for this host; several make an index' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l network -d 'Network of RUN: default, none, host, pasta, or the name of one' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l add-host -d 'Another name in /etc/hosts of RUN (NAME:ADDRESS, `host-gateway` is the host)' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l shm-size -d 'Size of /dev/shm of RUN' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l ulimit -d 'Resource limit of RUN: NAME=SOFT[:HARD]' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l cgroup-parent -d 'Cgroup that those of RUN are made in: below bryo\'s own, or with a / before it within the tree that is yours' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l secret -d 'Secret of RUN --mount=type=secret: id=NAME[,src=FILE|,env=VARIABLE]' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l ssh -d 'Agent for RUN --mount=type=ssh: default, ID[=SOCKET], or ID=KEY[,KEY] for one that has only these keys' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l source-date-epoch -d 'Nothing in the image is newer than this (seconds since 1970)' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l iidfile -d 'Write the image\'s id to a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l cache-from -d 'Take what steps came to from: IMAGE, type=registry,ref=IMAGE, type=local,src=DIRECTORY' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l cache-to -d 'Write what steps came to: type=registry,ref=IMAGE, type=local,dest=DIRECTORY, type=inline; with mode=min or max' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -s o -l output -d 'Where it goes: DIRECTORY, - (a tar), or type=TYPE[,dest=PLACE][,name=NAME][,push=BOOL] with local, tar, oci, docker, image, registry or cacheonly as TYPE' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l annotation -d 'Annotation: [manifest|index|manifest-descriptor|index-descriptor[PLATFORM]:]NAME=VALUE' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l attest -d 'Say something of the image: type=sbom, type=provenance[,mode=min|max]' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l allow -d 'What may be done beyond the usual: network.host, security.insecure, device[=NAME]' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l metadata-file -d 'Write what was built to a file, as JSON' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l progress -d 'How progress looks: auto, plain, tty, quiet, rawjson' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l sbom -d 'Say what is installed in the image: true, false' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l provenance -d 'Say where the image came from: true, false, mode=min, mode=max' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l builder -d 'Builder to use: there is one, whatever it is called' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l call -d 'What to do: build, check, outline or targets, with format=json as its JSON (default: build)' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l squash -d 'Make one layer of all that the steps add to the base image'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -s q -l quiet -d 'Print the image\'s id and nothing else'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l no-cache -d 'Do every step anew'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l pull -d 'Ask the registry for newer base images'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l load -d 'Put the image into the store, also where it goes elsewhere'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l push -d 'Push the image to the registries of its names'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -l check -d 'Only look for what is wrong with the Dockerfile: --call=check'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from b" -s D -l debug -d 'Say everything of every warning, and write a line per step of the engine'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -s f -l file -d 'File to read, `-` for standard input (default: compose and docker-bake files of this directory)' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l set -d 'Say otherwise what a target has: TARGET.KEY=VALUE' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l var -d 'Value of a variable: NAME=VALUE' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l list -d 'Show the names of targets, or variables' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l allow -d 'What may be done beyond the usual: network.host, security.insecure, device[=NAME]' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l metadata-file -d 'Write what was built to a file, as JSON' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l progress -d 'How progress looks: auto, plain, tty, quiet, rawjson' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l sbom -d 'Say what is installed in the image: true, false' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l provenance -d 'Say where the image came from: true, false, mode=min, mode=max' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l builder -d 'Builder to use: there is one, whatever it is called' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l call -d 'What to do: build, check, outline or targets, with format=json as its JSON (default: build)' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l print -d 'Show what would be built, as JSON, and build nothing'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l no-cache -d 'Do every step anew'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l pull -d 'Ask the registry for newer base images'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l load -d 'Put the image into the store, also where it goes elsewhere'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l push -d 'Push the image to the registries of its names'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -l check -d 'Only look for what is wrong with the Dockerfile: --call=check'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from bake" -s D -l debug -d 'Say everything of every warning, and write a line per step of the engine'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -s f -l file -d 'File to read, `-` for standard input (default: compose and docker-bake files of this directory)' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l set -d 'Say otherwise what a target has: TARGET.KEY=VALUE' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l var -d 'Value of a variable: NAME=VALUE' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l list -d 'Show the names of targets, or variables' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l allow -d 'What may be done beyond the usual: network.host, security.insecure, device[=NAME]' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l metadata-file -d 'Write what was built to a file, as JSON' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l progress -d 'How progress looks: auto, plain, tty, quiet, rawjson' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l sbom -d 'Say what is installed in the image: true, false' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l provenance -d 'Say where the image came from: true, false, mode=min, mode=max' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l builder -d 'Builder to use: there is one, whatever it is called' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l call -d 'What to do: build, check, outline or targets, with format=json as its JSON (default: build)' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l print -d 'Show what would be built, as JSON, and build nothing'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l no-cache -d 'Do every step anew'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l pull -d 'Ask the registry for newer base images'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l load -d 'Put the image into the store, also where it goes elsewhere'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l push -d 'Push the image to the registries of its names'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -l check -d 'Only look for what is wrong with the Dockerfile: --call=check'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from f" -s D -l debug -d 'Say everything of every warning, and write a line per step of the engine'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from du" -l filter -d 'Show only what fits: until=DURATION, id=ID, type=TYPE, description=TEXT, inuse=BOOL, shared=BOOL, private=BOOL' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from du" -l builder -d 'Builder to ask: there is one, whatever it is called' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from du" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from du" -l verbose -d 'Show everything of each'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits: until=DURATION, id=ID, type=TYPE, description=TEXT, shared=BOOL, private=BOOL' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from prune" -l max-used-space -d 'Leave no more than that' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from prune" -l reserved-space -d 'Leave no less than that' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from prune" -l min-free-space -d 'Remove until so much of the file system is free' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from prune" -l builder -d 'Builder whose cache it is: there is one, whatever it is called' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from prune" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove also what images have'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from prune" -l verbose -d 'Show everything of what goes'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from prune" -s D -l debug -d 'Write a line per step of the engine'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from ls" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from ls" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from inspect" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from inspect" -l bootstrap -d 'Have it ready, which it always is'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from create" -l name -d 'What it is to be called' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from create" -l driver -d 'Kind of builder that is asked for: docker, docker-container' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from create" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from create" -l use -d 'Use it from now on'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from create" -l bootstrap -d 'Have it ready, which it always is'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from use" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from rm" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from imagetools" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from imagetools" -f -a "inspect" -d 'Show what a registry has under a name'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from imagetools" -f -a "create" -d 'Make an index of what registries have'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from imagetools" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from version" -s f -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from version" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from help" -f -a "build" -d 'Make an image of a Dockerfile'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from help" -f -a "bake" -d 'Make the images that files describe'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from help" -f -a "du" -d 'Show what builds keep for the next one'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove what builds keep for the next one'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List builders: there is one'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show the builder'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from help" -f -a "create" -d 'Have a builder of that name: it is always the same'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from help" -f -a "use" -d 'Use the builder of that name: it is always the same'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Forget a builder: it stays'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from help" -f -a "imagetools" -d 'Work with images in registries'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from help" -f -a "version" -d 'Show versions'
complete -c bryo -n "__fish_bryo_using_subcommand buildx; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and not __fish_seen_subcommand_from create exists export import inspect ls list prune rm remove help" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and not __fish_seen_subcommand_from create exists export import inspect ls list prune rm remove help" -f -a "create" -d 'Make a volume'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and not __fish_seen_subcommand_from create exists export import inspect ls list prune rm remove help" -f -a "exists" -d 'Say by the exit code whether there is a volume'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and not __fish_seen_subcommand_from create exists export import inspect ls list prune rm remove help" -f -a "export" -d 'Write what is in a volume as a tar archive'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and not __fish_seen_subcommand_from create exists export import inspect ls list prune rm remove help" -f -a "import" -d 'Unpack a tar archive into a volume'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and not __fish_seen_subcommand_from create exists export import inspect ls list prune rm remove help" -f -a "inspect" -d 'Show everything about volumes'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and not __fish_seen_subcommand_from create exists export import inspect ls list prune rm remove help" -f -a "ls" -d 'List volumes'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and not __fish_seen_subcommand_from create exists export import inspect ls list prune rm remove help" -f -a "list" -d 'List volumes'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and not __fish_seen_subcommand_from create exists export import inspect ls list prune rm remove help" -f -a "prune" -d 'Remove anonymous volumes that no container uses'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and not __fish_seen_subcommand_from create exists export import inspect ls list prune rm remove help" -f -a "rm" -d 'Remove volumes that no container uses'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and not __fish_seen_subcommand_from create exists export import inspect ls list prune rm remove help" -f -a "remove" -d 'Remove volumes that no container uses'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and not __fish_seen_subcommand_from create exists export import inspect ls list prune rm remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from create" -l name -r
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from create" -s d -l driver -d 'Driver of the volume: only `local` exists' -r
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from create" -s l -l label -d 'Set a label (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from create" -s o -l opt -d 'Set an option of the driver: type=tmpfs, or type=none with o=bind, device=..., o=...' -r
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from create" -l uid -d 'Owner of the volume\'s directory' -r
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from create" -l gid -d 'Group of the volume\'s directory' -r
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from create" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from exists" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from export" -s o -l output -d 'Write to a file instead of standard output' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from export" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from import" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from inspect" -s f -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from inspect" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from ls" -s f -l filter -d 'Show only what fits: dangling, name, label, driver' -r
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from ls" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from ls" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Show only names'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from list" -s f -l filter -d 'Show only what fits: dangling, name, label, driver' -r
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from list" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from list" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Show only names'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits: label, label!, all' -r
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from prune" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove all unused volumes, not just anonymous ones'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from rm" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from rm" -s f -l force -d 'A volume that does not exist is no error'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from remove" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from remove" -s f -l force -d 'A volume that does not exist is no error'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from help" -f -a "create" -d 'Make a volume'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from help" -f -a "exists" -d 'Say by the exit code whether there is a volume'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write what is in a volume as a tar archive'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from help" -f -a "import" -d 'Unpack a tar archive into a volume'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show everything about volumes'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List volumes'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove anonymous volumes that no container uses'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Remove volumes that no container uses'
complete -c bryo -n "__fish_bryo_using_subcommand volume; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "connect" -d 'Connect a container with a network'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "create" -d 'Make a network'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "disconnect" -d 'Take a container out of a network'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "exists" -d 'Say by the exit code whether there is a network'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "inspect" -d 'Show everything about networks'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "ls" -d 'List networks'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "list" -d 'List networks'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "prune" -d 'Remove networks that no container uses'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "reload" -d 'Make containers\' places in their networks anew'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "rm" -d 'Remove networks that no running container is in'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "remove" -d 'Remove networks that no running container is in'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "update" -d 'Give a network other name servers'
complete -c bryo -n "__fish_bryo_using_subcommand network; and not __fish_seen_subcommand_from connect create disconnect exists inspect ls list prune reload rm remove update help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from connect" -l alias -d 'Another name for the container in the network' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from connect" -l driver-opt -d 'Option of the driver: com.docker.network.endpoint.ifname' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from connect" -l gw-priority -d 'The network of the highest priority has the default route' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from connect" -l ip -d 'IPv4 address' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from connect" -l ip6 -d 'IPv6 address' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from connect" -l link -d 'Another name for another container of the network (CONTAINER[:NAME])' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from connect" -l link-local-ip -d 'One more address of its interface' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from connect" -l mac-address -d 'Hardware address' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from connect" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l aux-address -d 'Address that no container gets (NAME=ADDRESS)' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -s d -l driver -d 'Driver of the network: only `bridge`' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l gateway -d 'Gateway of a subnet' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l egress -d 'Let its containers reach nothing outside but these (none, any, or HOST, ADDRESS, SUBNET, *.DOMAIN, each with :PORT or not)' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l ip-range -d 'Part of a subnet that containers get their addresses from' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l ipam-driver -d 'Driver of the addresses: only `default`' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l ipv4 -d 'Give IPv4 addresses (only `true`: no network is without)' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l label -d 'Set a label (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -s o -l opt -d 'Set an option of the driver: com.docker.network.driver.mtu, com.docker.network.bridge.enable_icc, com.docker.network.bridge.host_binding_ipv4' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l scope -d 'How far the network reaches: only `local`' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l subnet -d 'Range of addresses (172.30.0.0/16)' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l dns -d 'Name server to ask instead of the host\'s' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l route -d 'Way to another place over a machine of the network (DESTINATION,GATEWAY[,METRIC])' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l attachable -d 'Containers may be connected by hand, as they may with every network'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l internal -d 'Reach nothing outside of the network'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l ipv6 -d 'Give IPv6 addresses too'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l disable-dns -d 'Containers of the network don\'t know each other by name'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from create" -l ignore -d 'A network of this name is no error'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from disconnect" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from disconnect" -s f -l force -d 'A container that is not in the network is no error'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from exists" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from inspect" -s f -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from inspect" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from ls" -s f -l filter -d 'Show only what fits: dangling, driver, id, label, name, scope, type' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from ls" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from ls" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from ls" -l no-trunc -d 'Show whole ids'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from list" -s f -l filter -d 'Show only what fits: dangling, driver, id, label, name, scope, type' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from list" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from list" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from list" -l no-trunc -d 'Show whole ids'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits: label, label!, until' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from prune" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from reload" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from reload" -s a -l all -d 'All containers that share networks now'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from rm" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from rm" -s f -l force -d 'A network that does not exist is no error'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from remove" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from remove" -s f -l force -d 'A network that does not exist is no error'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from update" -l dns-add -d 'One more name server to ask instead of the host\'s' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from update" -l dns-drop -d 'Name server that is asked no more' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from update" -l egress -d 'Let its containers reach nothing outside but these (none, any, or HOST, ADDRESS, SUBNET, *.DOMAIN, each with :PORT or not)' -r
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from update" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "connect" -d 'Connect a container with a network'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "create" -d 'Make a network'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "disconnect" -d 'Take a container out of a network'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "exists" -d 'Say by the exit code whether there is a network'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show everything about networks'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List networks'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove networks that no container uses'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "reload" -d 'Make containers\' places in their networks anew'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Remove networks that no running container is in'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "update" -d 'Give a network other name servers'
complete -c bryo -n "__fish_bryo_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and not __fish_seen_subcommand_from create exists inspect ls list rm remove help" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and not __fish_seen_subcommand_from create exists inspect ls list rm remove help" -f -a "create" -d 'Keep a secret'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and not __fish_seen_subcommand_from create exists inspect ls list rm remove help" -f -a "exists" -d 'Say by the exit code whether there is a secret'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and not __fish_seen_subcommand_from create exists inspect ls list rm remove help" -f -a "inspect" -d 'Show everything about secrets but their values'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and not __fish_seen_subcommand_from create exists inspect ls list rm remove help" -f -a "ls" -d 'List secrets'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and not __fish_seen_subcommand_from create exists inspect ls list rm remove help" -f -a "list" -d 'List secrets'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and not __fish_seen_subcommand_from create exists inspect ls list rm remove help" -f -a "rm" -d 'Remove secrets that no container uses'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and not __fish_seen_subcommand_from create exists inspect ls list rm remove help" -f -a "remove" -d 'Remove secrets that no container uses'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and not __fish_seen_subcommand_from create exists inspect ls list rm remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from create" -s d -l driver -d 'Where it is kept: only `file` exists' -r
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from create" -s l -l label -d 'Set a label (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from create" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from create" -l env -d 'Take the value from a variable of the environment'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from create" -l replace -d 'Replace a secret of this name'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from exists" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from inspect" -s f -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from inspect" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from inspect" -l pretty -d 'Show it for people to read'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from inspect" -l showsecret -d 'Show the value too, as `SecretData`'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from ls" -s f -l filter -d 'Show only what fits: id, name, label' -r
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from ls" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from ls" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from list" -s f -l filter -d 'Show only what fits: id, name, label' -r
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from list" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from list" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Show only ids'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from rm" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from rm" -s a -l all -d 'Remove all secrets'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from rm" -s i -l ignore -d 'A secret that does not exist is no error'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from remove" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from remove" -s a -l all -d 'Remove all secrets'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from remove" -s i -l ignore -d 'A secret that does not exist is no error'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "create" -d 'Keep a secret'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "exists" -d 'Say by the exit code whether there is a secret'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show everything about secrets but their values'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List secrets'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Remove secrets that no container uses'
complete -c bryo -n "__fish_bryo_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls list pull push rm remove help" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls list pull push rm remove help" -f -a "add" -d 'Keep files as an artifact'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls list pull push rm remove help" -f -a "extract" -d 'Write an artifact\'s files into a directory, or its only file to a path'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls list pull push rm remove help" -f -a "inspect" -d 'Show an artifact\'s manifest'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls list pull push rm remove help" -f -a "ls" -d 'List artifacts'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls list pull push rm remove help" -f -a "list" -d 'List artifacts'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls list pull push rm remove help" -f -a "pull" -d 'Fetch an artifact from its registry'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls list pull push rm remove help" -f -a "push" -d 'Send an artifact to its registry'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls list pull push rm remove help" -f -a "rm" -d 'Remove artifacts'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls list pull push rm remove help" -f -a "remove" -d 'Remove artifacts'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls list pull push rm remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from add" -l annotation -d 'Set an annotation of the files (KEY=VALUE)' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from add" -l file-type -d 'Media type of the files, instead of what their first bytes say' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from add" -l type -d 'Type of the artifact' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from add" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from add" -s a -l append -d 'Add to an artifact that there is'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from add" -l replace -d 'Replace an artifact of this name'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from extract" -l digest -d 'Only the blob of this digest' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from extract" -l title -d 'Only the blob of this title' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from extract" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from inspect" -s f -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from inspect" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from ls" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from ls" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from ls" -l no-trunc -d 'Show whole digests'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from ls" -s n -l noheading -d 'Do not show the columns\' names'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from list" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from list" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from list" -l no-trunc -d 'Show whole digests'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from list" -s n -l noheading -d 'Do not show the columns\' names'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l tls-verify -d 'Speak TLS and verify certificates whatever is configured, or with =false neither' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l authfile -d 'File of registry credentials, instead of all others' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l cert-dir -d 'Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l creds -d 'User and password for the registry, which everybody on this machine can read here' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l retry -d 'How many times to try again what failed and may go well the next time (4)' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l retry-delay -d 'How long to wait before each of these tries, instead of longer each time' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from pull" -s q -l quiet -d 'Print only the digest'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from push" -l digestfile -d 'Write the manifest\'s digest to a file' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from push" -l tls-verify -d 'Speak TLS and verify certificates whatever is configured, or with =false neither' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from push" -l authfile -d 'File of registry credentials, instead of all others' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from push" -l cert-dir -d 'Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from push" -l creds -d 'User and password for the registry, which everybody on this machine can read here' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from push" -l retry -d 'How many times to try again what failed and may go well the next time (4)' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from push" -l retry-delay -d 'How long to wait before each of these tries, instead of longer each time' -r
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from push" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from push" -s q -l quiet -d 'Print only the digest'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from rm" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from rm" -s a -l all -d 'Remove all artifacts'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from rm" -s i -l ignore -d 'An artifact that does not exist is no error'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from remove" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from remove" -s a -l all -d 'Remove all artifacts'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from remove" -s i -l ignore -d 'An artifact that does not exist is no error'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from help" -f -a "add" -d 'Keep files as an artifact'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from help" -f -a "extract" -d 'Write an artifact\'s files into a directory, or its only file to a path'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show an artifact\'s manifest'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List artifacts'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from help" -f -a "pull" -d 'Fetch an artifact from its registry'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from help" -f -a "push" -d 'Send an artifact to its registry'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Remove artifacts'
complete -c bryo -n "__fish_bryo_using_subcommand artifact; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and not __fish_seen_subcommand_from add annotate create exists inspect push remove rm help" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and not __fish_seen_subcommand_from add annotate create exists inspect push remove rm help" -f -a "add" -d 'Add a manifest to a list'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and not __fish_seen_subcommand_from add annotate create exists inspect push remove rm help" -f -a "annotate" -d 'Change what a list says of one of its manifests'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and not __fish_seen_subcommand_from add annotate create exists inspect push remove rm help" -f -a "create" -d 'Make a list of the manifests that registries have'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and not __fish_seen_subcommand_from add annotate create exists inspect push remove rm help" -f -a "exists" -d 'Say by the exit code whether there is a list of this name'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and not __fish_seen_subcommand_from add annotate create exists inspect push remove rm help" -f -a "inspect" -d 'Show a manifest or a list'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and not __fish_seen_subcommand_from add annotate create exists inspect push remove rm help" -f -a "push" -d 'Push a list and what it names'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and not __fish_seen_subcommand_from add annotate create exists inspect push remove rm help" -f -a "remove" -d 'Take a manifest out of a list'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and not __fish_seen_subcommand_from add annotate create exists inspect push remove rm help" -f -a "rm" -d 'Forget lists'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and not __fish_seen_subcommand_from add annotate create exists inspect push remove rm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l arch -d 'Set the architecture' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l os -d 'Set the operating system' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l os-features -d 'Add features of the operating system' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l os-version -d 'Set the operating system\'s version' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l variant -d 'Set the architecture\'s variant' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l annotation -d 'Set an annotation of the entry' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l tls-verify -d 'Speak TLS and verify certificates whatever is configured, or with =false neither' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l authfile -d 'File of registry credentials, instead of all others' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l cert-dir -d 'Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l creds -d 'User and password for the registry, which everybody on this machine can read here' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l retry -d 'How many times to try again what failed and may go well the next time (4)' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l retry-delay -d 'How long to wait before each of these tries, instead of longer each time' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from add" -l all -d 'Add every platform of an image that is a list itself'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l arch -d 'Set the architecture' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l os -d 'Set the operating system' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l os-features -d 'Add features of the operating system' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l os-version -d 'Set the operating system\'s version' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l variant -d 'Set the architecture\'s variant' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l annotation -d 'Set an annotation of the entry' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from create" -l tls-verify -d 'Speak TLS and verify certificates whatever is configured, or with =false neither' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from create" -l authfile -d 'File of registry credentials, instead of all others' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from create" -l cert-dir -d 'Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from create" -l creds -d 'User and password for the registry, which everybody on this machine can read here' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from create" -l retry -d 'How many times to try again what failed and may go well the next time (4)' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from create" -l retry-delay -d 'How long to wait before each of these tries, instead of longer each time' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from create" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from create" -s a -l amend -d 'Add to a list that there is already'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from create" -l insecure -d 'Speak to a registry without TLS, or with a certificate that nobody vouches for'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from exists" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l tls-verify -d 'Speak TLS and verify certificates whatever is configured, or with =false neither' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l authfile -d 'File of registry credentials, instead of all others' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l cert-dir -d 'Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l creds -d 'User and password for the registry, which everybody on this machine can read here' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l retry -d 'How many times to try again what failed and may go well the next time (4)' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l retry-delay -d 'How long to wait before each of these tries, instead of longer each time' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -s v -l verbose -d 'Show where each manifest is and what its platform is'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l insecure -d 'Speak to a registry without TLS, or with a certificate that nobody vouches for'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from push" -l tls-verify -d 'Speak TLS and verify certificates whatever is configured, or with =false neither' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from push" -l authfile -d 'File of registry credentials, instead of all others' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from push" -l cert-dir -d 'Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d' -r -F
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from push" -l creds -d 'User and password for the registry, which everybody on this machine can read here' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from push" -l retry -d 'How many times to try again what failed and may go well the next time (4)' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from push" -l retry-delay -d 'How long to wait before each of these tries, instead of longer each time' -r
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from push" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from push" -s p -l purge -l rm -d 'Forget the list afterwards'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from push" -s q -l quiet -d 'Print only the digest'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from push" -l insecure -d 'Speak to a registry without TLS, or with a certificate that nobody vouches for'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from remove" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from rm" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a manifest to a list'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from help" -f -a "annotate" -d 'Change what a list says of one of its manifests'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from help" -f -a "create" -d 'Make a list of the manifests that registries have'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from help" -f -a "exists" -d 'Say by the exit code whether there is a list of this name'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show a manifest or a list'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from help" -f -a "push" -d 'Push a list and what it names'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Take a manifest out of a list'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Forget lists'
complete -c bryo -n "__fish_bryo_using_subcommand manifest; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand system; and not __fish_seen_subcommand_from events info df prune check reset migrate help" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand system; and not __fish_seen_subcommand_from events info df prune check reset migrate help" -f -a "events" -d 'Show what happens to containers, images, volumes and networks'
complete -c bryo -n "__fish_bryo_using_subcommand system; and not __fish_seen_subcommand_from events info df prune check reset migrate help" -f -a "info" -d 'Show what this host gives and which settings are in force'
complete -c bryo -n "__fish_bryo_using_subcommand system; and not __fish_seen_subcommand_from events info df prune check reset migrate help" -f -a "df" -d 'Show what images, containers, volumes and builds take of the disk'
complete -c bryo -n "__fish_bryo_using_subcommand system; and not __fish_seen_subcommand_from events info df prune check reset migrate help" -f -a "prune" -d 'Remove containers that do not run, images that nobody needs and what builds keep'
complete -c bryo -n "__fish_bryo_using_subcommand system; and not __fish_seen_subcommand_from events info df prune check reset migrate help" -f -a "check" -d 'Look for damage in the store, and repair it'
complete -c bryo -n "__fish_bryo_using_subcommand system; and not __fish_seen_subcommand_from events info df prune check reset migrate help" -f -a "reset" -d 'Remove all containers, images, volumes and secrets'
complete -c bryo -n "__fish_bryo_using_subcommand system; and not __fish_seen_subcommand_from events info df prune check reset migrate help" -f -a "migrate" -d 'Stop all containers, so that those that start next have the ids of /etc/subuid as it is now'
complete -c bryo -n "__fish_bryo_using_subcommand system; and not __fish_seen_subcommand_from events info df prune check reset migrate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from events" -s f -l filter -d 'Show only what fits: type, event, container, image, volume, network, label, scope' -r
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from events" -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from events" -l since -d 'Show what came after a moment (2024-01-31T15:04:05Z) or in the last while (42m)' -r
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from events" -l until -d 'End at a moment' -r
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from events" -l stream -d 'Go on when all that has happened is shown (`--stream=false` ends then)' -r -f -a "true\t''
false\t''"
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from events" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from info" -s f -l format -d '`json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from info" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from df" -l format -d '`table`, `json` or a Go template' -r
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from df" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from df" -s v -l verbose -d 'Show each image, container and volume'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what fits: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]' -r
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from prune" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove all images without a container, not just those without a tag'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from prune" -l volumes -d 'Remove anonymous volumes too'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from check" -s m -l max -d 'Count layers of no image and no container that are older than this as broken' -r
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from check" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from check" -s f -l force -d 'With --repair: remove containers of broken images that can\'t be fetched again too'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from check" -s q -l quick -d 'Do not read the contents of layers'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from check" -s r -l repair -d 'Fetch again or remove what is broken'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from reset" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from reset" -s f -l force -d 'Do not ask'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from migrate" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from help" -f -a "events" -d 'Show what happens to containers, images, volumes and networks'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from help" -f -a "info" -d 'Show what this host gives and which settings are in force'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from help" -f -a "df" -d 'Show what images, containers, volumes and builds take of the disk'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove containers that do not run, images that nobody needs and what builds keep'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from help" -f -a "check" -d 'Look for damage in the store, and repair it'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from help" -f -a "reset" -d 'Remove all containers, images, volumes and secrets'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from help" -f -a "migrate" -d 'Stop all containers, so that those that start next have the ids of /etc/subuid as it is now'
complete -c bryo -n "__fish_bryo_using_subcommand system; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bryo -n "__fish_bryo_using_subcommand generate" -l help -d 'Print help'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "run" -d 'Make and start a container from an image'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "create" -d 'Make a container from an image without starting it'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "attach" -d 'Take part in the streams of a running container'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "exec" -d 'Execute a program in a running container'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "start" -d 'Start stopped containers'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "stop" -d 'Stop running containers'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "restart" -d 'Stop containers and start them again'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "pause" -d 'Freeze all processes of running containers'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "unpause" -d 'Let the processes of paused containers go on'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "update" -d 'Change the settings of containers, also of running ones'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "kill" -d 'Send a signal to running containers'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "rm" -d 'Remove containers'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "logs" -d 'Show what a container wrote'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "cp" -d 'Copy files between a container and the host'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "diff" -d 'Show what a container changed in its files'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "export" -d 'Write a container\'s root filesystem as a tar archive'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "commit" -d 'Make an image of what a container has become'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "mount" -d 'Run a command where a container\'s root is mounted'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "wait" -d 'Wait until containers stop, then print their exit codes'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "top" -d 'Show the processes of a container'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "stats" -d 'Show what running containers use'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "rename" -d 'Give a container another name'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "port" -d 'Show which ports of the host lead into a container'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "ps" -d 'List containers'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "images" -d 'List images'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "rmi" -d 'Remove one or more images'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "build" -d 'Make an image of a Dockerfile'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "pull" -d 'Download an image from a registry'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "push" -d 'Upload an image to a registry'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "load" -d 'Load images from an archive that `save` made'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "save" -d 'Write images to an archive that `load` reads'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "import" -d 'Make an image from a root filesystem\'s archive'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "tag" -d 'Give an image another name'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "history" -d 'Show the steps that made an image'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "untag" -d 'Take names away from an image'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "bake" -d 'Make the images that files describe'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "compose" -d 'Run what compose files describe'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "login" -d 'Log in to a registry'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "logout" -d 'Log out of a registry'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "search" -d 'Search a registry for images'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "events" -d 'Show what happens to containers, images, volumes and networks'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "inspect" -d 'Show everything about containers, images, networks, volumes or secrets'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "info" -d 'Show what this host gives and which settings are in force'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "version" -d 'Show versions'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "unshare" -d 'Run a command in the user namespace of all containers'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "doctor" -d 'Check the host and say what is missing and how to cure it'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "boot" -d 'Have containers started when the host has booted'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "container" -d 'Manage containers'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "image" -d 'Manage images'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "builder" -d 'Manage what builds keep'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "buildx" -d 'Build, by the words of docker\'s plugin'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "volume" -d 'Manage volumes'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "network" -d 'Manage networks'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "secret" -d 'Manage secrets'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "artifact" -d 'Keep files at registries, without an image around them'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "manifest" -d 'Put together lists of manifests, one for each platform'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "system" -d 'Manage bryo'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "generate" -d 'Write completions and man pages'
complete -c bryo -n "__fish_bryo_using_subcommand help; and not __fish_seen_subcommand_from run create attach exec start stop restart pause unpause update kill rm logs cp diff export commit mount wait top stats rename port ps images rmi build pull push load save import tag history untag bake compose login logout search events inspect info version unshare doctor boot container image builder buildx volume network secret artifact manifest system generate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
