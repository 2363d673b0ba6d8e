// Command man writes the man pages of lockstep: lockstep(1) and one for each verb from what --help prints, and
// lockstep.yaml(5) from docs/config.md and the keys that lockstep schema tells of.
//
//	go run ./packaging/man -lockstep ./lockstep -config docs/config.md -to DIR
//
// Nobody writes roff here: what a page says wrong is mended in the help text or in the document.
//
//  1. helptext gives the parts of a help text; a part becomes a section of the page, an option an indented
//     paragraph. Of Markdown blocks are taken what docs/config.md uses: see blocks.
//  2. Text is cut into spans, each in a font: options and commands bold, placeholders as DIR in italics.
//  3. Spans are written as man(7) macros, escaped so that what is typed can be copied from the page.
//
// The date of the pages is SOURCE_DATE_EPOCH, so that the same source gives the same pages.
package main
