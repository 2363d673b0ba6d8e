package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	lockstep := flag.String("lockstep", "./lockstep", "the `program` whose --help is read")
	to := flag.String("to", "", "the `directory` to write to")
	flag.Parse()
	if err := run(*lockstep, *to); err != nil {
		fmt.Fprintln(os.Stderr, "completions:", err)
		os.Exit(1)
	}
}

// run writes a file for each shell, by the name it has below /usr/share.
func run(lockstep, to string) error {
	if to == "" {
		return errors.New("say with -to where to write the completions")
	}
	all, no, err := commands(lockstep)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"lockstep":      bash(all, no),
		"_lockstep":     zsh(all, no),
		"lockstep.fish": fish(all, no),
	} {
		if err := os.WriteFile(filepath.Join(to, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// flags are an option's names as they are typed.
func (o option) flags() []string {
	var all []string
	if o.short != "" {
		all = append(all, "-"+o.short)
	}
	if o.long != "" {
		all = append(all, "--"+o.long)
	}
	return all
}
