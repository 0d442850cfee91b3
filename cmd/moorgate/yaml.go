package main

import (
	"bytes"
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// document is a YAML file with the faults found in it.
type document struct {
	name    string
	root    ast.Node
	anchors map[string]ast.Node
	faults  []fault
	bad     []string // paths of what has the wrong kind: nothing else is said of them
}

type fault struct {
	line, column  int
	path, message string
}

// byteOrderMark is what some editors begin a file with; YAML takes it.
var byteOrderMark = []byte("\xef\xbb\xbf")

// readYAML decodes strictly. Unknown keys and values of the wrong kind are
// noted as faults; what could be read is in to. Its error is of a text that is
// no YAML.
func readYAML(name string, text []byte, to *Config) (*document, error) {
	d := &document{name: name, anchors: map[string]ast.Node{}}
	// Keys that are there twice are told by walk, with all else that is wrong.
	file, err := parser.ParseBytes(bytes.TrimPrefix(text, byteOrderMark), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, d.syntax(err)
	}
	if len(file.Docs) > 1 {
		line := 1
		if start := file.Docs[1].Start; start != nil {
			line = start.Position.Line
		}
		return nil, d.broken(line, 1, "a second document begins: write one")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return d, nil
	}
	d.root = file.Docs[0].Body
	ast.Walk(anchors(d.anchors), d.root)
	if !d.walk(d.root, reflect.TypeOf(*to), nil) {
		return d, nil
	}
	if err := yaml.NodeToValue(d.root, to); err != nil {
		return nil, cmp.Or(d.err(), d.syntax(err))
	}
	return d, nil
}

// anchors is an ast.Visitor that keeps what aliases stand for.
type anchors map[string]ast.Node

func (a anchors) Visit(n ast.Node) ast.Visitor {
	if n, ok := n.(*ast.AnchorNode); ok {
		a[n.Name.GetToken().Value] = n.Value
	}
	return a
}

// syntax puts the parser's objection in one line, as faults are.
func (d *document) syntax(err error) error {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil {
		at := e.GetToken().Position
		return d.broken(at.Line, at.Column, e.GetMessage())
	}
	return fmt.Errorf("%s: %w", d.name, err)
}

func (d *document) broken(line, column int, message string) error {
	return fmt.Errorf("1 fault in the configuration:\n%s:%d:%d: %s", d.name, line, column, message)
}

// err is all faults, in the order of the file.
func (d *document) err() error {
	if len(d.faults) == 0 {
		return nil
	}
	slices.SortFunc(d.faults, func(a, b fault) int {
		return cmp.Or(a.line-b.line, a.column-b.column, cmp.Compare(a.path, b.path), cmp.Compare(a.message, b.message))
	})
	lines := make([]string, len(d.faults))
	for i, f := range d.faults {
		lines[i] = fmt.Sprintf("%s:%d:%d: %s: %s", d.name, f.line, f.column, f.path, f.message)
	}
	noun := "faults"
	if len(lines) == 1 {
		noun = "fault"
	}
	return fmt.Errorf("%d %s in the configuration:\n%s", len(lines), noun, strings.Join(lines, "\n"))
}

// fault notes what is wrong at a path; where the path is not in the file, at
// the nearest place above it.
func (d *document) fault(path []string, message string) {
	f := fault{line: 1, column: 1, path: strings.Join(path, "."), message: message}
	if slices.ContainsFunc(d.bad, func(b string) bool { return b == "" || f.path == b || strings.HasPrefix(f.path, b+".") }) {
		return // it is so because what is written there could not be read
	}
	if node := d.find(path); node != nil {
		at := node.GetToken().Position
		f.line, f.column = at.Line, at.Column
	}
	d.faults = append(d.faults, f)
}

// faulty notes what is wrong at a path below its own place.
type faulty func(message string, path ...string)

func (d *document) faultAt(place ...string) faulty {
	return func(message string, path ...string) { d.fault(slices.Concat(place, path), message) }
}

// find gives the node at a path or the nearest one above it.
func (d *document) find(path []string) ast.Node {
	at, found := d.unwrap(d.root), ast.Node(nil)
	for _, step := range path {
		next := ast.Node(nil)
		switch n := at.(type) {
		case *ast.SequenceNode:
			if i, err := strconv.Atoi(step); err == nil && i < len(n.Values) {
				next, found = n.Values[i], n.Values[i]
			}
		default:
			for _, m := range members(at) {
				if m.Key.GetToken().Value == step {
					next, found = m.Value, m.Key
				}
			}
		}
		if next == nil {
			break
		}
		at = d.unwrap(next)
	}
	return found
}

// keys are the keys of the mapping called name, in the order written.
func (d *document) keys(name string) []string {
	var keys []string
	for _, m := range members(d.unwrap(d.root)) {
		if m.Key.GetToken().Value == name {
			for _, inner := range members(d.unwrap(m.Value)) {
				keys = append(keys, inner.Key.GetToken().Value)
			}
		}
	}
	return keys
}

func members(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// maxAliases bounds how often an alias may stand for an alias: one could stand
// for itself.
const maxAliases = 8

// unwrap gives the value behind anchors and aliases.
func (d *document) unwrap(n ast.Node) ast.Node {
	for aliases := 0; aliases < maxAliases; {
		switch t := n.(type) {
		case *ast.AnchorNode:
			n = t.Value
		case *ast.AliasNode:
			n = d.anchors[t.Value.GetToken().Value]
			aliases++
		default:
			return n
		}
	}
	return nil
}

// walk compares a node with the type that it is decoded into, notes every
// unknown key and every value of the wrong kind, and takes them out of the
// tree. It is false where the node itself is to be taken out.
func (d *document) walk(n ast.Node, t reflect.Type, path []string) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	place := n
	if tag, ok := n.(*ast.TagNode); ok {
		return d.wrong(place, path, tag.Start.Value+" is a tag, which are not taken here: leave it out")
	}
	n = d.unwrap(n)
	if n == nil || n.Type() == ast.NullType {
		return true
	}
	if section, word := alternative(t); section != nil {
		if text, ok := n.(*ast.StringNode); ok {
			if text.Value != word {
				return d.wrong(place, path, fmt.Sprintf("%q is not taken here: write the word %s, or settings", text.Value, word))
			}
			return true
		}
		t = section
	}
	leaf := reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
	switch {
	case !leaf && (t.Kind() == reflect.Struct || t.Kind() == reflect.Map):
		switch n.(type) {
		case *ast.MappingNode, *ast.MappingValueNode:
		default:
			return d.wrong(place, path, "is no mapping: write key: value")
		}
		d.walkMapping(n, t, path)
	case !leaf && t.Kind() == reflect.Slice:
		s, ok := n.(*ast.SequenceNode)
		if !ok {
			return d.wrong(place, path, "is no list: write [...]")
		}
		for i, v := range s.Values {
			if !d.walk(v, t.Elem(), append(slices.Clone(path), strconv.Itoa(i))) {
				s.Values[i] = ast.Null(v.GetToken()) // the others keep their numbers
			}
		}
	default:
		if message := misfit(n, t, leaf); message != "" {
			return d.wrong(place, path, message)
		}
	}
	return true
}

// worded is a type that one word may stand for.
type worded interface{ Word() string }

// alternative gives what is written for a type that one word may stand for,
// and the word; nil for all others.
func alternative(t reflect.Type) (section reflect.Type, word string) {
	if !reflect.PointerTo(t).Implements(reflect.TypeFor[worded]()) {
		return nil, ""
	}
	m, ok := reflect.PointerTo(t).MethodByName("Section")
	if !ok {
		return nil, ""
	}
	return m.Type.Out(0).Elem(), reflect.New(t).Interface().(worded).Word()
}

func (d *document) walkMapping(n ast.Node, t reflect.Type, path []string) {
	var fields map[string]reflect.Type
	if t.Kind() == reflect.Struct {
		fields = yamlFields(t)
	}
	var kept []*ast.MappingValueNode
	seen := map[string]bool{}
	for _, m := range members(n) {
		key := m.Key.GetToken().Value
		inner := append(slices.Clone(path), key)
		ft, known := fields[key]
		if fields == nil {
			ft, known = t.Elem(), true
		}
		twice := seen[key]
		seen[key] = true
		switch {
		case twice:
			d.at(m.Key, inner, "is there twice: leave one out")
		case !known:
			d.at(m.Key, inner, "is not known here: write one of "+strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		case d.walk(m.Value, ft, inner):
			kept = append(kept, m)
		}
	}
	if m, ok := n.(*ast.MappingNode); ok {
		m.Values = kept
	}
}

// misfit says how a scalar is written that does not fit its type.
func misfit(n ast.Node, t reflect.Type, leaf bool) string {
	fits, want := true, ""
	_, scalar := n.(ast.ScalarNode)
	switch {
	case leaf || t == reflect.TypeFor[time.Duration]():
		want = "write a duration like 10s"
	case t.Kind() == reflect.Bool:
		_, fits = n.(*ast.BoolNode)
		want = "write true or false"
	case t.Kind() == reflect.String:
		switch n.(type) {
		case *ast.StringNode, *ast.LiteralNode:
		default:
			fits, want = false, "write text"
			if scalar {
				want = "write it in quotes" // 0660 would be read as 432
			}
		}
	case t.Kind() == reflect.Float64:
		switch n.(type) {
		case *ast.IntegerNode, *ast.FloatNode:
		default:
			fits = false
		}
		want = "write a number like 1.5"
	default:
		_, fits = n.(*ast.IntegerNode)
		want = "write a whole number"
	}
	if k := t.Kind(); fits && !leaf && (k == reflect.String || k == reflect.Bool) {
		return "" // most settings are such, and there is nothing in them to go wrong
	}
	v := reflect.New(t)
	switch err := yaml.NodeToValue(n, v.Interface()); {
	case err == nil && fits:
		return ""
	case leaf && err != nil:
		text, _, _ := strings.Cut(err.Error(), "\n")
		return text
	}
	if !scalar {
		return "is no single value: " + want
	}
	return fmt.Sprintf("%s is no such value: %s", n.GetToken().Value, want)
}

// wrong notes a value of the wrong kind.
func (d *document) wrong(n ast.Node, path []string, message string) bool {
	d.at(n, path, message)
	d.bad = append(d.bad, strings.Join(path, "."))
	return false
}

func (d *document) at(n ast.Node, path []string, message string) {
	at := n.GetToken().Position
	where := strings.Join(path, ".")
	if where == "" {
		where = "the file"
	}
	d.faults = append(d.faults, fault{at.Line, at.Column, where, message})
}

// yamlFields are the keys that a struct takes, inlined ones among them.
func yamlFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			for k, v := range yamlFields(f.Type) {
				fields[k] = v
			}
		case f.IsExported() && name != "" && name != "-":
			fields[name] = f.Type
		}
	}
	return fields
}
