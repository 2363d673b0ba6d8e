package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSchemaFile: the schema in the examples is the one that lockstep schema prints.
func TestSchemaFile(t *testing.T) {
	const name = "../../../examples/lockstep.schema.json"
	if *update {
		must(t, os.WriteFile(name, Schema(), 0o644))
	}
	b, err := os.ReadFile(name)
	must(t, err)
	if !bytes.Equal(b, Schema()) {
		t.Errorf("%s is not what there is: go test -run TestSchemaFile -update writes it", name)
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	must(t, err)
	c := jsonschema.NewCompiler()
	must(t, c.AddResource("lockstep.schema.json", doc))
	s, err := c.Compile("lockstep.schema.json")
	must(t, err)
	return s
}

// asJSON is a node as a reader of JSON would have it.
func asJSON(n *node) any {
	switch n.form {
	case isMap:
		m := map[string]any{}
		for _, p := range n.pairs {
			m[p.key.text] = asJSON(p.value)
		}
		return m
	case isList:
		list := []any{}
		for _, item := range n.items {
			list = append(list, asJSON(item))
		}
		return list
	case isBool:
		return n.text == "true"
	case isNumber:
		f, err := strconv.ParseFloat(n.text, 64)
		if err != nil {
			return 0.0
		}
		return f
	case isNull:
		return nil
	}
	return n.text
}

// TestSchema: of each file of the corpus that is YAML the schema says what the loader says of its form, and all that loads is valid.
func TestSchema(t *testing.T) {
	schema := compiled(t)
	names, err := filepath.Glob("testdata/*/*.txtar")
	must(t, err)
	asked, refused := 0, 0
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		must(t, err)
		f, text := newFile("lockstep.yaml", a.Files[0].Data)
		var p problems
		n := read(f, text, &p)
		if n == nil || len(p.list) > 0 {
			continue // there is nothing for a schema to look at
		}
		asked++
		l := newLoader(env)
		l.root = f.name
		if n.form == isMap {
			l.top(n, true)
		} else {
			l.form(n, "no map")
		}
		_, err = l.config()
		wrong := wrongForm(f.name, err)
		verdict := schema.Validate(asJSON(n))
		if verdict != nil {
			refused++
		}
		switch {
		case verdict == nil && wrong != nil:
			t.Errorf("%s: the schema takes it, the loader says %v", name, wrong)
		case verdict != nil && err == nil:
			t.Errorf("%s: it loads, the schema says %v", name, verdict)
		}
	}
	if asked < 60 || refused < 30 {
		t.Errorf("of %d files the schema refused %d: that proves little", asked, refused)
	}
	t.Logf("%d files, %d refused", asked, refused)
}

// wrongForm is what the loader says about the form of a file, if it says anything.
func wrongForm(file string, err error) *Error {
	var all *Errors
	if errors.As(err, &all) {
		for _, e := range all.List {
			if !e.value && e.File == file {
				return e
			}
		}
	}
	return nil
}
