// Package logs writes lockstep's log: one for --watch and the agent.
//
// In go the entries of a zap logger; out come lines of plain text, on standard error or in a file, or entries of
// systemd's journal.
//
//  1. A level holds for all, or for a component, which is an element of a logger's name, and can be set at any time.
//  2. A warning or an error that is repeated, times apart, is written once, and how often it was repeated a minute later. What
//     differs is never folded, and of what is folded neither the first nor the count is lost (Close tells the rest). A line of
//     level info ends it for its logger: what failed, went on and fails again is told again.
//  3. What is written is "console", "json" or "journal". The journal is spoken to in its own protocol: a priority, and each
//     field by itself. Where it does not listen, lines have the priority in front, as sd-daemon(3) says.
//  4. Whatever is in a name or a peer's words, a line is one line, and nothing in it that a terminal obeys.
//  5. A log file is opened again on demand, for who has renamed it: between two lines, so none is lost.
//
// New opens what is written to, before rights are taken from the process. Timers run while something is folded; Close ends them.
package logs
