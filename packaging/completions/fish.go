package main

import (
	"fmt"
	"strings"
)

// fish writes a completion for fish.
func fish(all []command, no []option) string {
	var b strings.Builder
	var verbs []string
	for _, c := range all[1:] {
		verbs = append(verbs, c.name)
	}
	fmt.Fprintf(&b, `# fish completion for lockstep, made from its --help.

function __lockstep_verb -d 'is the verb one of these?'
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

function __lockstep_push -d 'is it no verb?'
    not __lockstep_verb %s
end

function __lockstep_first -d 'is it the first argument?'
    test (count (commandline -opc)) -eq 1
end

function __lockstep_no -d 'are --no- forms asked for?'
    __lockstep_push; and string match -q -- '--no*' (commandline -ct)
end

function __lockstep_value -d 'what is typed, without the option in front'
    string replace -r -- '^--[^=]*=' '' (commandline -ct)
end

complete -c lockstep -n __lockstep_push -a '(__fish_complete_user_at_hosts (__lockstep_value))'
`, strings.Join(verbs, " "))
	for _, c := range all {
		when := "__lockstep_push"
		b.WriteString("\n")
		if c.name != "" {
			when = "__lockstep_verb " + c.name
			fmt.Fprintf(&b, "complete -c lockstep -n __lockstep_first -a %s -d %s\n", c.name, fishQuoted(short(c.what)))
		}
		switch c.args {
		case nothing:
			fmt.Fprintf(&b, "complete -c lockstep -n %s -f\n", fishQuoted(when))
		case directory:
			fmt.Fprintf(&b, "complete -c lockstep -n %s -x -a '(__fish_complete_directories (__lockstep_value))'\n", fishQuoted(when))
		}
		for _, o := range c.options {
			b.WriteString(fishOption(o, when))
		}
	}
	b.WriteString("\n")
	for _, o := range no {
		b.WriteString(fishOption(o, "__lockstep_no"))
	}
	return b.String()
}

func fishOption(o option, when string) string {
	line := "complete -c lockstep -n " + fishQuoted(when)
	if o.short != "" {
		line += " -s " + fishQuoted(o.short)
	}
	if o.long != "" {
		line += " -l " + o.long
	}
	if o.optional {
		return line + " -d " + fishQuoted(short(o.what)) + "\n"
	}
	return line + fishValue(o.takes, o.words) + " -d " + fishQuoted(short(o.what)) + "\n"
}

func fishValue(k kind, words []string) string {
	switch k {
	case nothing:
		return ""
	case choice:
		return " -x -a " + fishQuoted(strings.Join(words, " "))
	case file:
		return " -r -F"
	case directory:
		return " -x -a '(__fish_complete_directories (__lockstep_value))'"
	case program:
		return " -x -a '(__fish_complete_command)'"
	case user:
		return " -x -a '(__fish_complete_users)'"
	case place:
		return " -r -F -a '(__fish_complete_user_at_hosts (__lockstep_value))'"
	}
	return " -x"
}

func fishQuoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
