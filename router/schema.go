package router

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/docker/docker/api/types/strslice"
)

// schema is what the Engine's type says of a JSON value: which keys an object
// has, and what each holds. The nil schema knows nothing and takes all, with
// the keys of its objects as unique as a struct's.
type schema struct {
	kind   schemaKind
	fields []field        // of a struct
	byName nameTable      // exact name to index of fields
	byFold map[string]int // folded name to index of fields
	elem   *schema        // of a map or a list
	most   int            // elements of an array, which has room for no more; 0 means any number
	bits   int            // of a number
}

type field struct {
	name   string
	schema *schema
}

type schemaKind uint8

const (
	anything schemaKind = iota
	structure
	mapping
	mappingOrList // the Engine's filters
	listing
	words // a list of strings, or one string alone, which the Engine takes for a list of one
	text
	truth
	whole
	natural
	number
)

// The kinds of values, as bits.
const (
	anObject uint8 = 1 << iota
	aList
	aString
	aTruth
	aNumber
	aNull
)

// takes are the kinds of values that each kind of schema takes whatever they
// say; refuses looks at the others.
var takes = [...]uint8{
	anything:      0xff,
	structure:     aNull | anObject,
	mapping:       aNull | anObject,
	mappingOrList: 0xff,
	listing:       aNull | aList,
	words:         aNull | aList,
	text:          aNull | aString,
	truth:         aNull | aTruth,
	whole:         aNull,
	natural:       aNull,
	number:        aNull,
}

var (
	schemas         sync.Map // reflect.Type -> *schema
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	strSlice        = reflect.TypeFor[strslice.StrSlice]()
)

// schemaOf compiles a type, once.
func schemaOf(t reflect.Type) *schema {
	if t == nil {
		return nil
	}
	if s, ok := schemas.Load(t); ok {
		return s.(*schema)
	}
	s := compile(t, map[reflect.Type]*schema{})
	schemas.Store(t, s)
	return s
}

func compile(t reflect.Type, busy map[reflect.Type]*schema) *schema {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s := busy[t]; s != nil {
		return s
	}
	s := &schema{}
	busy[t] = s
	if t == strSlice {
		s.kind, s.elem = words, compile(t.Elem(), busy)
		return s
	}
	if t.Implements(jsonUnmarshaler) || reflect.PointerTo(t).Implements(jsonUnmarshaler) ||
		reflect.PointerTo(t).Implements(textUnmarshaler) {
		return s // what it takes is its own business
	}
	switch t.Kind() {
	case reflect.Struct:
		s.kind, s.byFold = structure, map[string]int{}
		s.collect(t, busy)
		s.byName = newNameTable(s.fields)
	case reflect.Map:
		s.kind, s.elem = mapping, compile(t.Elem(), busy)
	case reflect.Slice:
		s.kind, s.elem = listing, compile(t.Elem(), busy)
		if t.Elem().Kind() == reflect.Uint8 {
			s.kind = text // base64
		}
	case reflect.Array:
		s.kind, s.elem, s.most = listing, compile(t.Elem(), busy), t.Len()
	case reflect.String:
		s.kind = text
	case reflect.Bool:
		s.kind = truth
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s.kind, s.bits = whole, t.Bits()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s.kind, s.bits = natural, t.Bits()
	case reflect.Float32, reflect.Float64:
		s.kind, s.bits = number, t.Bits()
	}
	return s
}

// collect adds the JSON fields of a struct, an embedded struct's after its
// own: as in encoding/json the shallower of two of one name is meant.
func (s *schema) collect(t reflect.Type, busy map[reflect.Type]*schema) {
	var embedded []reflect.Type
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if tag == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if f.Anonymous && name == "" && inner.Kind() == reflect.Struct {
			embedded = append(embedded, inner)
			continue
		}
		if name == "" {
			name = f.Name
		}
		if _, taken := s.byFold[fold(name)]; taken {
			continue
		}
		var fs *schema
		if !slices.Contains(strings.Split(options, ","), "string") { // else a number in a string
			fs = compile(f.Type, busy)
		}
		s.byFold[fold(name)] = len(s.fields)
		s.fields = append(s.fields, field{name, fs})
	}
	for _, e := range embedded {
		s.collect(e, busy)
	}
}

func (s *schema) isStruct() bool { return s != nil && s.kind == structure }

// element is the schema of a list's elements.
func (s *schema) element() *schema {
	if s == nil || s.kind != listing && s.kind != words {
		return nil
	}
	return s.elem
}

// named is the schema of the member called name.
func (s *schema) named(name string) *schema {
	return s.member(s.known(name))
}

// known is the number of a struct's field, -1 where it has none of that name.
func (s *schema) known(name string) int {
	if !s.isStruct() {
		return -1
	}
	return s.byName.find(s.fields, name)
}

// nameTable finds fields by their names: by a few of their bytes, which is
// less than to hash the whole.
type nameTable struct {
	first []int16 // by the bytes: 1 + a field, 0 for none
	next  []int16 // by the field: the next one with such bytes
}

func newNameTable(fields []field) nameTable {
	t := nameTable{make([]int16, 2<<bits.Len(uint(len(fields)))), make([]int16, len(fields))}
	for i := range fields {
		at := t.at(fields[i].name)
		t.next[i], *at = *at, int16(i+1)
	}
	return t
}

func (t *nameTable) at(name string) *int16 {
	h := uint(len(name))
	if n := len(name); n > 0 {
		h = h*7 + uint(name[0])
		h = h*7 + uint(name[n/2])
		h = h*7 + uint(name[n-1])
		h = h*7 + uint(name[n*3/4])
	}
	return &t.first[(h^h>>7)&uint(len(t.first)-1)]
}

func (t *nameTable) find(fields []field, name string) int {
	for i := *t.at(name); i > 0; i = t.next[i-1] {
		if fields[i-1].name == name {
			return int(i - 1)
		}
	}
	return -1
}

// member is the schema of an object's member: field known of a struct, or any
// of a map.
func (s *schema) member(known int) *schema {
	switch {
	case s == nil:
	case s.kind == mapping:
		return s.elem
	case s.kind == structure && known >= 0:
		return s.fields[known].schema
	}
	return nil
}

// refuses says what should stand in the place of a value that the type does
// not take; "" if it takes it.
func (s *schema) refuses(kind byte, raw string) string {
	if s == nil || kind == 'n' {
		return ""
	}
	switch s.kind {
	case structure, mapping:
		if kind != '{' {
			return "an object"
		}
	case listing:
		if kind != '[' {
			return "a list"
		}
	case words:
		if kind != '[' && kind != '"' {
			return "a list of strings"
		}
	case text:
		if kind != '"' {
			return "a string"
		}
	case truth:
		if kind != 't' && kind != 'f' {
			return "true or false"
		}
	case whole:
		if kind == '0' && s.bits >= 32 && len(raw) <= 9 && areDigits(raw) {
			return "" // as most are
		}
		if kind != '0' || strings.ContainsAny(raw, ".eE") {
			return "a whole number"
		}
		if _, err := strconv.ParseInt(raw, 10, s.bits); err != nil {
			return fmt.Sprintf("a whole number of at most %d bits", s.bits)
		}
	case natural:
		if kind != '0' || strings.ContainsAny(raw, "-.eE") {
			return "a whole number, 0 or more"
		}
		if _, err := strconv.ParseUint(raw, 10, s.bits); err != nil {
			return fmt.Sprintf("a whole number of at most %d bits", s.bits)
		}
	case number:
		if kind != '0' {
			return "a number"
		}
		if _, err := strconv.ParseFloat(raw, s.bits); err != nil {
			return "a smaller number"
		}
	}
	return ""
}

func areDigits(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// spelling holds what clients write in another case than the Engine, which
// folds it: docker's Python SDK, and those made from the Engine's manual, which
// has the last four in the specs of services. No other variant is in use.
var spelling = map[string]string{
	"detachKeys":         "DetachKeys",
	"CPURealtimePeriod":  "CpuRealtimePeriod",
	"CPURealtimeRuntime": "CpuRealtimeRuntime",
	"HealthCheck":        "Healthcheck",
	"Name":               "name",
	"Remote":             "remote",
	"Disabled":           "disabled",
}

// keys are those of one object so far.
type keys struct {
	schema *schema
	next   int       // the field that follows the last one: most clients write them in the Engine's order
	known  [2]uint64 // bits of the fields seen; of those beyond, which no type of the Engine has, the names
	names  *[]string // from from on: names of a map, folded names of a struct, those not in known
	from   int
	set    map[string]struct{}

	respelled bool // the last name is another spelling of its field's
}

// errTwice has no advice in it: which of the two was meant only the caller
// knows.
var errTwice = errors.New("is written twice: write it once")

// add notes a key and gives its field in the schema, -1 where it has none. An
// error means that another reader could take the key for something else.
func (k *keys) add(name string) (int, error) {
	if k.schema != nil && (k.schema.kind == mapping || k.schema.kind == mappingOrList) {
		return -1, k.note(name)
	}
	if k.schema.isStruct() {
		if i := k.field(name); i >= 0 {
			k.next = i + 1
			if i >= 64*len(k.known) {
				return i, k.note(fold(name))
			}
			bits, bit := &k.known[i/64], uint64(1)<<(i%64)
			if *bits&bit != 0 {
				return i, errTwice
			}
			*bits |= bit
			return i, nil
		}
		if i, ok := k.schema.byFold[fold(name)]; ok {
			if spelling[name] == k.schema.fields[i].name {
				k.respelled = true
				return k.add(spelling[name])
			}
			return -1, fmt.Errorf("is not spelled as the Engine spells it: write %s", k.schema.fields[i].name)
		}
	}
	return -1, k.note(fold(name))
}

// ahead is how many fields may be left out before the next one is looked up.
const ahead = 4

// field is the number of the field of a name, -1 if there is none.
func (k *keys) field(name string) int {
	fields := k.schema.fields
	for i := k.next; i < min(k.next+ahead, len(fields)); i++ {
		if fields[i].name == name {
			return i
		}
	}
	return k.schema.byName.find(fields, name)
}

// note remembers a name and refuses it the second time.
func (k *keys) note(name string) error {
	if k.set != nil {
		if _, ok := k.set[name]; ok {
			return errTwice
		}
		k.set[name] = struct{}{}
		return nil
	}
	for _, other := range (*k.names)[k.from:] {
		if other == name {
			return errTwice
		}
	}
	if *k.names == nil {
		*k.names = make([]string, 0, manyKeys)
	}
	*k.names = append(*k.names, name)
	if own := (*k.names)[k.from:]; len(own) > manyKeys {
		k.set = make(map[string]struct{}, 2*len(own))
		for _, other := range own {
			k.set[other] = struct{}{}
		}
	}
	return nil
}

// done forgets the names.
func (k *keys) done() { *k.names = (*k.names)[:k.from] }

// fold maps all spellings that encoding/json takes for one key to one: the
// smallest of each letter's case variants, among them U+017F for s and U+212A
// for k.
func fold(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 0x80 || c >= 'a' && c <= 'z' {
			return strings.Map(smallest, s)
		}
	}
	return s
}

func smallest(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}

// schemaFor is schemaOf of a value's type.
func schemaFor(of any) *schema { return schemaOf(reflect.TypeOf(of)) }
