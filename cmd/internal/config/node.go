package config

import "slices"

// form is what a node is.
type form int

const (
	isText form = iota
	isNumber
	isBool
	isNull
	isList
	isMap
	isBad // it was complained about already
)

func (f form) String() string {
	return [...]string{"a text", "a number", "true or false", "nothing", "a list", "a map of keys", "what YAML makes of it"}[f]
}

// node is a piece of a file. Scalars have their text as it was written, without quotes.
type node struct {
	file      *file
	line, col int
	form      form
	text      string
	items     []*node
	pairs     []pair
}

type pair struct{ key, value *node }

// scalar says that it is one value.
func (n *node) scalar() bool { return n.form < isList }

func (n *node) find(key string) *pair {
	i := slices.IndexFunc(n.pairs, func(p pair) bool { return p.key.text == key })
	if i < 0 {
		return nil
	}
	return &n.pairs[i]
}

func (n *node) problem(message string) *Error {
	return &Error{File: n.file.name, Line: n.line, Column: n.col, Text: n.file.shown(n.line), Message: message}
}
