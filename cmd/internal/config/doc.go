// Package config reads the config file of a service: in go one YAML file and what it includes, out come the settings of
// each sync, checked, or all that is wrong with them, each error with file, line and column.
//
//  1. read makes nodes of a file's text: mappings, lists and scalars as they were written, with their place. YAML that
//     a config has no need of (anchors, aliases, tags, several documents) is refused there.
//  2. load sorts the keys: the process's, defaults, syncs, targets. A level is the options that stand in one of them.
//     What an option is, package options says; there is no list of them here.
//  3. build makes the settings of one target: the levels laid over one another, each option done as on the command line,
//     and the whole checked by agent.Settings.Validate, whose errors are brought back to the key they are about.
//
// Print writes what holds, as a config again, with where it came from; Schema is the same description for editors.
package config
