// Package helptext reads what lockstep --help and lockstep VERB --help print, for man pages and completions.
//
// In goes the text; out comes a Page: title, examples, usage, paragraphs, and sections with an entry for
// each option or exit code. No word of the text is lost. The texts keep to one form:
//
//  1. The first line says in a sentence what the program or the verb does. Examples are indented below it.
//  2. "Usage: " begins the lines of usage, which may end in a remark.
//  3. Paragraphs follow. A line at the margin with an indented one right below it begins a section.
//  4. In a section a line that is indented by up to six columns and begins with an option or a number is
//     an entry; its text begins at the column where those of most entries do, or after two spaces; what is
//     indented further goes on with it.
//  5. An entry's text may tell of further options, as "; -k, --copy-dirlinks: …": Apart gives those.
//
// Read runs the program: nothing of it is known here but what it prints.
package helptext
