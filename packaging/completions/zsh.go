package main

import (
	"fmt"
	"strings"
)

// zsh writes a completion for zsh, by _arguments.
func zsh(all []command, no []option) string {
	var b strings.Builder
	b.WriteString("#compdef lockstep\n# zsh completion for lockstep, made from its --help.\n\n")
	b.WriteString("_lockstep_place() {\n\t_alternative 'files:file:_files' 'hosts:host:_hosts -qS :'\n}\n\n")
	b.WriteString("_lockstep_verbs() {\n\tlocal -a verbs\n\tverbs=(\n")
	for _, c := range all[1:] {
		fmt.Fprintf(&b, "\t\t%s\n", bashQuoted(c.name+":"+short(c.what)))
	}
	b.WriteString("\t)\n\t_describe -t verbs verb verbs\n}\n\n")
	b.WriteString("_lockstep_first() {\n\t_alternative 'verbs:verb:_lockstep_verbs' 'files:source:_files'\n}\n\n")
	b.WriteString("_lockstep() {\n\tlocal -a options\n\tif (( CURRENT > 2 )); then\n\t\tcase $words[2] in\n")
	for _, c := range all[1:] {
		fmt.Fprintf(&b, "\t\t(%s)\n\t\t\tshift words\n\t\t\t(( CURRENT-- ))\n\t\t\t_arguments -s -S", c.name)
		for _, o := range c.options {
			b.WriteString(" \\\n\t\t\t\t" + zshOption(o))
		}
		if action := zshValue(c.args, nil); action != "" {
			b.WriteString(" \\\n\t\t\t\t" + bashQuoted("*:argument:"+action))
		}
		b.WriteString("\n\t\t\treturn\n\t\t\t;;\n")
	}
	b.WriteString("\t\tesac\n\tfi\n\toptions=(\n")
	for _, o := range all[0].options {
		b.WriteString("\t\t" + zshOption(o) + "\n")
	}
	b.WriteString("\t)\n\t# the --no- forms only for those who ask for them\n\t[[ $PREFIX != --no* ]] || options+=(\n")
	for _, o := range no {
		b.WriteString("\t\t" + zshOption(o) + "\n")
	}
	b.WriteString("\t)\n\t_arguments -s -S $options \\\n" +
		"\t\t'1:source or verb:_lockstep_first' \\\n" +
		"\t\t'2:target:_lockstep_place'\n}\n\n_lockstep \"$@\"\n")
	return b.String()
}

// zshOption is a spec of _arguments. An option may be given more than once, as --exclude.
func zshOption(o option) string {
	tail := "[" + zshEscaped(short(o.what)) + "]"
	if o.takes != nothing {
		tail += colon(o) + "value:" + zshValue(o.takes, o.words)
	}
	var specs []string
	for _, flag := range o.flags() {
		if o.optional {
			flag += "=-"
		} else if o.takes != nothing && strings.HasPrefix(flag, "--") {
			flag += "="
		} else if o.takes != nothing {
			flag += "+"
		}
		specs = append(specs, bashQuoted("*"+flag+tail))
	}
	return strings.Join(specs, " ")
}

// colon is what stands in front of a value: two say that it may be missing.
func colon(o option) string {
	if o.optional {
		return "::"
	}
	return ":"
}

func zshValue(k kind, words []string) string {
	switch k {
	case choice:
		return "(" + strings.Join(words, " ") + ")"
	case file:
		return "_files"
	case directory:
		return "_files -/"
	case program:
		return "_command_names -e"
	case user:
		return "_users"
	case place:
		return "_lockstep_place"
	}
	return ""
}

func zshEscaped(s string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(s)
}
