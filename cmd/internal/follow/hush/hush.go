// Package hush keeps a program that links bubbletea from asking the terminal anything when it starts.
//
// bubbletea 1 has an init that asks for the terminal's background colour (tea_init.go), in every program it is linked into
// and before main: it writes an escape sequence to stdout, swallows what was typed ahead, and waits up to 5 s for a terminal that
// does not answer. Nobody wants that of `lockstep SRC DST`. It asks nothing where termenv takes stdout for no terminal, as
// it does while CI is set. This package sets CI when it is initialised, which is before bubbletea is: packages are
// initialised in the order of their import paths as soon as their own imports are (the Go specification, "Program initialization"), and bubbletea
// has to wait for github.com/muesli/termenv, which comes after this one. Restore takes it back.
package hush

import "os"

const name = "CI"

var before, had = os.LookupEnv(name)

// The order of variables within a package is that of their declaration: the value is read before it is set.
var _ = os.Setenv(name, "hush")

// Restore gives the environment back as it was. Who imports bubbletea calls it once, when its own package is initialised.
func Restore() struct{} {
	if had {
		os.Setenv(name, before)
	} else {
		os.Unsetenv(name)
	}
	return struct{}{}
}
