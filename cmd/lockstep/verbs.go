package main

import "io"

// verb gives what the first argument asks for where it is a verb, not an option or a source. A source
// of that name is written with its directory: ./check-path.
func verb(args []string) (func(args []string, stdout, stderr io.Writer) int, bool) {
	if len(args) == 0 {
		return nil, false
	}
	switch args[0] {
	case "check-path":
		return checkPath, true
	}
	return nil, false
}
