// Package follow is `lockstep status --follow`: it shows how a running lockstep is doing for as long as somebody looks.
//
// In go what fetch returns, time after time, and on a terminal keys; out comes a picture that fills the terminal, or where
// there is none a line for each change of a state. It only looks: what is to be done about something is said as
// the verb that does it. An agent that cannot be asked is shown as such, with what was last seen, and is asked again.
//
//  1. Run asks fetch every Interval, in a goroutine of its own, and hands over what came of it as a status.
//  2. The model takes statuses, ticks of the clock, keys and sizes (Update) and gives the screen as text (View). Both are
//     pure: no clock, no file, no terminal. The same messages make the same picture.
//  3. A screen is made of lines of spans, each a text and an ink; what an ink looks like is the theme's affair
//     alone, and that nothing is told by colour alone is a rule: a state is a symbol and a word.
//  4. bubbletea moves keys in and pictures out, and restores the terminal however it ends: q, ctx, or a panic in the view.
//
// Texts of others (names, messages of peers) are quoted before they reach a terminal, as in a log; in a locale
// without UTF-8 what is not ASCII is, too.
package follow
