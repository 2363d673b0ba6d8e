// Command completions writes the completions of lockstep for bash, zsh and fish, from what --help prints.
//
//		go run ./packaging/completions -lockstep ./lockstep -to DIR
//
//	 1. helptext gives the parts of each help text, and those give commands: a verb, or the program itself, with
//	    its options. Of options that share a text each gets what is said of it, or all of it.
//	 2. What a value may be is told by its placeholder (FILE, DIR, …); where words are to choose from, by a table.
//	 3. Which options have a --no- form is asked of the program: the help does not list them.
//	 4. A shell's file writes commands down in that shell's terms, and knows nothing of help texts.
package main
