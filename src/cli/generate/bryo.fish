# Completion of bryo for fish. What a word can be is asked of the program, which knows its flags and the names of what there is.
function __bryo_complete
    set -l before (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l found (bryo complete (count $before) -- $before "$current" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$current"
    end
end
complete --keep-order --no-files --command bryo --arguments '(__bryo_complete)'
