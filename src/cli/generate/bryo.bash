# Completion of bryo for bash. What a word can be is asked of the program, which knows its flags and the names of what there is.
_bryo() {
    local cur words cword line
    if declare -F _get_comp_words_by_ref >/dev/null; then
        # Of the package bash-completion: words as the program gets them, whole at `:` and `=`.
        _get_comp_words_by_ref -n =: cur words cword
    else
        words=("${COMP_WORDS[@]}")
        cword=$COMP_CWORD
        cur=${COMP_WORDS[COMP_CWORD]}
    fi
    COMPREPLY=()
    while IFS= read -r line; do
        printf -v line %q "${line%%$'\t'*}"
        # What precedes the last of the characters that part words for readline is there already.
        [[ $cur != *=* || $COMP_WORDBREAKS != *=* ]] || line=${line#"${cur%"${cur##*=}"}"}
        COMPREPLY+=("$line")
    done < <(bryo complete "$cword" -- "${words[@]}" 2>/dev/null)
    if declare -F __ltrim_colon_completions >/dev/null; then
        __ltrim_colon_completions "$cur"
    fi
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} = *[=/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o bashdefault -o default -F _bryo bryo
