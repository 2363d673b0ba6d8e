package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// reader makes nodes of what YAML says.
type reader struct {
	f *file
	p *problems
}

// read makes nodes of a text. It is nil where that is no YAML, and for an empty file.
func read(f *file, text string, p *problems) (n *node) {
	if at, what := f.unclean(); at != nil {
		p.form(at, "%s", what)
		return nil
	}
	if n := f.tab(); n != nil {
		p.form(n, "a tab cannot indent in YAML: use blanks")
		return nil
	}
	r := &reader{f: f, p: p}
	defer func() { // what the parser makes of any text is not in our hands
		if why := recover(); why != nil {
			p.form(f.whole(), "it cannot be read as YAML")
			n = nil
		}
	}()
	tokens := lexer.Tokenize(text)
	if !r.plain(tokens) {
		return nil
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	return r.document(tree)
}

// tab finds a line that a tab indents. In the text of a block, or of a quote over several lines, it could be meant; it is not.
func (f *file) tab() *node {
	for i, line := range f.lines {
		rest := strings.TrimLeft(line, " ")
		if strings.HasPrefix(rest, "\t") && strings.TrimSpace(rest) != "" {
			return f.at(i+1, len(line)-len(rest)+1)
		}
	}
	return nil
}

// plain refuses what would be expanded, and what would make the parser go too deep.
func (r *reader) plain(tokens token.Tokens) bool {
	ok, flow, line, entries, items := true, 0, 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, entries = t.Position.Line, 0
		}
		switch t.Type {
		case token.AnchorType:
			ok = r.refuse(t, "a value that begins with & is an anchor in YAML, and none is read: put the value into quotes; what several syncs have in common stands in defaults")
		case token.AliasType:
			ok = r.refuse(t, "a value that begins with * is an alias in YAML, and none is read: put the value into quotes, as '*.log'; what several syncs have in common stands in defaults")
		case token.TagType:
			ok = r.refuse(t, "a value that begins with ! is a tag in YAML, and none is read: put the value into quotes")
		case token.DirectiveType:
			ok = r.refuse(t, "a line or a value that begins with %% is a directive in YAML, and none is read: put the value into quotes")
		case token.MergeKeyType:
			ok = r.refuse(t, "<< merges maps in YAML, and is not read: what several syncs have in common stands in defaults")
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType:
			entries++
			items++
		case token.MappingValueType, token.CollectEntryType:
			items++
		}
		if items > maxItems {
			return r.refuse(t, "more than %d keys and items in one file: that is no config", maxItems)
		}
		if flow > maxDepth || entries > maxDepth {
			return r.refuse(t, "more than %d lists and maps in one another: no config is that deep", maxDepth)
		}
	}
	return ok
}

func (r *reader) refuse(t *token.Token, format string, args ...any) bool {
	r.p.form(r.f.at(t.Position.Line, t.Position.Column), format, args...)
	return false
}

// syntax tells in which place the parser stopped, and why in words for people.
func (r *reader) syntax(err error) {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil {
		r.p.form(r.f.whole(), "it cannot be read as YAML")
		return
	}
	at := r.place(e.GetToken())
	r.p.form(at, "%s", inWords(e.GetMessage()))
}

// words are what the parser says, and what that means to who writes a config.
var words = []struct{ said, means string }{
	{"mapping value is not allowed", "a second colon in one line, or a line that is indented otherwise than those around it: a value with a colon and a blank in it is put into quotes"},
	{"reserved character", "a value cannot begin with @ or `: put it into quotes"},
	{"end character of double-quoted", `a quote " begins here and does not end`},
	{"end character of single-quoted", "a quote ' begins here and does not end"},
	{"cannot start any token", "a tab cannot indent in YAML: use blanks"},
	{"sequence end token ']' not found", "a list begins with [ here and does not end"},
	{"could not find flow mapping end", "a map begins with { here and does not end"},
	{"non-map value is specified", "a key and a colon are wanted here, as key: value"},
	{"unexpected key name", "a key and a colon are wanted here, as key: value"},
	{"value is not allowed in this", "this does not belong to what stands before it: look at the indentation of this line and the one above"},
	{"unexpected scalar value", "this does not belong to what stands before it: look at the indentation of this line and the one above"},
	{"invalid escape", "a backslash is special between double quotes: use single quotes"},
	{"unknown escape", "a backslash is special between double quotes: use single quotes"},
	{"',' or ']' must be specified", "a comma, or ] as the end of the list, is missing before this"},
	{"',' or '}' must be specified", "a comma, or } as the end of the map, is missing before this"},
	{"invalid key for this map", "this does not belong to what stands before it: look at the indentation of this line and the one above"},
	{"flow map content", "a map in { } has keys with a colon, as {to: /mnt, delete: true}"},
}

func inWords(message string) string {
	for _, w := range words {
		if strings.Contains(message, w.said) {
			return w.means
		}
	}
	return "this is not YAML: " + message
}

func (r *reader) place(t *token.Token) *node { return r.f.at(t.Position.Line, t.Position.Column) }

func (r *reader) document(tree *ast.File) *node {
	var body ast.Node
	for _, d := range tree.Docs {
		switch {
		case d.Body == nil:
		case body == nil:
			body = d.Body
		default:
			at := r.place(d.Body.GetToken())
			if m, ok := d.Body.(*ast.MappingNode); ok && len(m.Values) > 0 {
				at = r.place(m.Values[0].Key.GetToken()) // the map has the colon's
			}
			r.p.form(at, "a second document begins with the --- before this: a config is one")
			return nil
		}
	}
	if body == nil {
		return nil
	}
	return r.node(body, 0)
}

// node copies a part of the tree.
func (r *reader) node(n ast.Node, depth int) *node {
	t := n.GetToken()
	c := r.place(t)
	if depth > maxDepth {
		r.p.form(c, "more than %d lists and maps in one another: no config is that deep", maxDepth)
		return c
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		r.mapping(c, n.Values, depth)
	case *ast.MappingValueNode:
		r.mapping(c, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		c.form = isList
		for _, v := range n.Values {
			c.items = append(c.items, r.node(v, depth+1))
		}
	case *ast.StringNode:
		c.form, c.text = isText, n.Value
	case *ast.LiteralNode:
		c.form, c.text = isText, n.Value.Value
	case *ast.BoolNode:
		c.form, c.text = isBool, t.Value
	case *ast.NullNode:
		c.form = isNull
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		c.form, c.text = isNumber, t.Value
	default:
		r.p.form(c, "this is not read: a config has keys, lists, texts, numbers, true and false")
	}
	if c.scalar() && strings.ContainsRune(c.text, 0) {
		r.p.form(c, "a NUL can be in no value")
		c.form = isBad
	}
	return c
}

func (r *reader) mapping(c *node, values []*ast.MappingValueNode, depth int) {
	c.form = isMap
	first := map[string]*node{}
	for i, v := range values {
		key := r.node(v.Key, depth+1)
		if i == 0 && (key.line < c.line || key.line == c.line && key.col < c.col) {
			c.line, c.col = key.line, key.col // the parser has the colon's
		}
		if !key.scalar() || key.form == isNull {
			if key.form != isBad {
				r.p.form(key, "a key is a word, not %v", key.form)
			}
			continue
		}
		if at := first[key.text]; at != nil {
			r.p.form(key, "%s stands here for the second time: the first one is in line %d", quoted(key.text), at.line).value = true // no schema sees it
			continue
		}
		first[key.text] = key
		value := r.node(v.Value, depth+1)
		if value.form == isText && strings.HasPrefix(value.text, ":") && value.line == key.line && value.col <= key.col+len(key.text)+1 {
			r.p.form(key, "%s is a key to YAML between brackets or braces here: put the whole into quotes, as 'host::module/'", quoted(key.text+":"))
			c.form = isBad
			return
		}
		if value.form == isNull && value.col <= key.col && value.line == key.line {
			value.line, value.col = key.line, key.col
		}
		c.pairs = append(c.pairs, pair{key, value})
	}
}

// quoted is a name in a message.
func quoted(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
