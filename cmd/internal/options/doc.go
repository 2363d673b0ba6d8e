// Package options describes the options of lockstep: the names, rsync's and its own, what value each has, and what it
// does to the settings. It is the one list of them: the command line is read by it, and so is the config file, whose keys are
// the long names.
//
//   - New gives a Line that has them all; Parse reads a command line, Apply a single option, Finish makes what they
//     mean for one another.
//   - NewVerb gives a Line without any, for the options of a verb.
//   - All tells of each Option what a config file and its schema need to know.
package options
