package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// bash writes a completion for bash with bash-completion: "_init_completion -s" parts --option=value.
func bash(all []command, no []option) string {
	var b strings.Builder
	b.WriteString(`# bash completion for lockstep, made from its --help.

_lockstep() {
	local cur prev words cword split options verb=${COMP_WORDS[1]}
	_init_completion -s -n : || return
	[ "$cword" -gt 1 ] || verb=
	case $verb in
`)
	for _, c := range slices.Concat(all[1:], all[:1]) {
		fmt.Fprintf(&b, "\t%s)\n\t\toptions=%s\n\t\tcase $prev in\n", cmp.Or(c.name, "*"), bashQuoted(words(c.options)))
		bashValues(&b, c.options)
		b.WriteString("\t\tesac\n\t\t;;\n")
	}
	b.WriteString("\tesac\n\t$split && return\n\n\tcase $cur in\n")
	fmt.Fprintf(&b, "\t--no*) [ -n \"$verb\" ] || options+=%s ;;\n\tesac\n", bashQuoted(" "+words(no)))
	b.WriteString("\tif [[ $cur == -* ]]; then\n\t\tCOMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n" +
		"\t\t[[ ${COMPREPLY-} == *= ]] && compopt -o nospace\n\t\treturn\n\tfi\n")
	b.WriteString("\tcase $verb in\n")
	for _, c := range all[1:] {
		fmt.Fprintf(&b, "\t%s) %s ;;\n", c.name, bashValue(c.args, nil))
	}
	var verbs []string
	for _, c := range all[1:] {
		verbs = append(verbs, c.name)
	}
	fmt.Fprintf(&b, "\t*)\n\t\t%s\n\t\t[ \"$cword\" -gt 1 ] || COMPREPLY+=($(compgen -W %s -- \"$cur\"))\n\t\t;;\n\tesac\n} &&\n",
		bashValue(place, nil), bashQuoted(strings.Join(verbs, " ")))
	b.WriteString("\tcomplete -F _lockstep lockstep\n")
	return b.String()
}

// bashValues says for each option that takes a value what it may be, for those that take the same together.
func bashValues(b *strings.Builder, options []option) {
	flags, actions := map[string][]string{}, []string(nil)
	for _, o := range options {
		if o.takes == nothing || o.optional {
			continue
		}
		action := bashValue(o.takes, o.words)
		if flags[action] == nil {
			actions = append(actions, action)
		}
		flags[action] = append(flags[action], o.flags()...)
	}
	for _, action := range actions {
		fmt.Fprintf(b, "\t\t%s)\n\t\t\t%s\n\t\t\treturn\n\t\t\t;;\n", strings.Join(flags[action], "|"), action)
	}
}

// words are the options as they are completed: one that takes a value ends in "=".
func words(options []option) string {
	var all []string
	for _, o := range options {
		if o.optional {
			all = append(all, "--"+o.long)
		}
		switch {
		case o.long == "":
			all = append(all, "-"+o.short)
		case o.takes != nothing:
			all = append(all, "--"+o.long+"=")
		default:
			all = append(all, "--"+o.long)
		}
	}
	return strings.Join(all, " ")
}

func bashValue(k kind, words []string) string {
	switch k {
	case choice:
		return fmt.Sprintf(`COMPREPLY=($(compgen -W %s -- "$cur"))`, bashQuoted(strings.Join(words, " ")))
	case file:
		return "_filedir"
	case directory:
		return "_filedir -d"
	case program:
		return `COMPREPLY=($(compgen -c -- "$cur"))`
	case user:
		return `COMPREPLY=($(compgen -u -- "$cur"))`
	case place:
		return `_filedir; [[ $cur == */* ]] || _known_hosts_real -c -a -- "$cur"`
	}
	return ":"
}

func bashQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
