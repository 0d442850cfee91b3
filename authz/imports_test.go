package authz

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport is the picture of who may import whom within the module. A package
// that is not in it fails the test: put it in, where it belongs. Tests may
// import what they like.
var mayImport = map[string][]string{
	"router":         {},
	"authz/identity": {},
	"authz/audit":    {"router", "authz/identity"},
	"authz":          {"authz/audit", "router", "authz/identity"},
	"authz/policy":   {"authz", "authz/audit", "router", "authz/identity"},
	"authz/owner":    {"authz", "authz/audit", "router", "authz/identity"},
	"authz/plugin":   {"authz", "authz/audit", "router", "authz/identity"},
	"proxy/http1":    {},
	"proxy/buildkit": {"router", "authz/identity"},
	"proxy":          {"router", "authz/identity", "proxy/http1"},
	"terminal":       {"authz/identity", "authz/audit", "terminal/web"},
	"terminal/web":   {},
}

// These wire the rest and may import everything.
var wiring = []string{"cmd", "deploy"}

// These import the standard library only.
var standardOnly = []string{"proxy/http1"}

// These, and what is below them, are tools of tests: they may import everything,
// and only tests and they themselves import them.
var testOnly = []string{"proxy/enginetest"}

func TestImports(t *testing.T) {
	root, module := moduleRoot(t)
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && skipped(path, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		seen++
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if fault := judgeImport(module, filepath.ToSlash(filepath.Dir(rel)), name); fault != "" {
				t.Errorf("%s: %s", rel, fault)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 5 {
		t.Errorf("only %d files were seen below %s", seen, root)
	}
}

// judgeImport says what is wrong with one import, if anything is.
func judgeImport(module, from, imported string) string {
	to, ours := strings.CutPrefix(imported, module+"/")
	switch {
	case slices.Contains(standardOnly, from):
		if first, _, _ := strings.Cut(imported, "/"); ours || strings.Contains(first, ".") {
			return "it may import the standard library only, not " + imported
		}
	case below(testOnly, from), !below(testOnly, to) && below(wiring, from):
	case ours && below(testOnly, to):
		return to + " is for tests"
	case mayImport[from] == nil:
		return from + " is not in the picture of imports"
	case ours && !slices.Contains(mayImport[from], to):
		return from + " may not import " + to
	}
	return ""
}

// below says whether a package is one of these or below one.
func below(these []string, pkg string) bool {
	return slices.ContainsFunc(these, func(p string) bool { return pkg == p || strings.HasPrefix(pkg, p+"/") })
}

func TestJudgeImport(t *testing.T) {
	tests := []struct {
		from, imported string
		ok             bool
	}{
		{"authz", "moorgate/router", true},
		{"authz", "net/http", true},
		{"authz", "moorgate/proxy", false},
		{"authz/policy", "moorgate/authz/owner", false},
		{"authz/identity", "moorgate/router", false},
		{"authz/identity", "golang.org/x/sys/unix", true},
		{"router", "moorgate/authz", false},
		{"proxy", "moorgate/authz", false},
		{"proxy", "moorgate/proxy/http1", true},
		{"proxy", "moorgate/proxy/enginetest", false},
		{"cmd/moorgate", "moorgate/proxy/enginetest", false},
		{"cmd/moorgate", "moorgate/proxy/enginetest/load", false},
		{"proxy/enginetest/load", "moorgate/proxy/enginetest", true},
		{"proxy/enginetest", "moorgate/router", true},
		{"cmd/moorgate", "moorgate/authz/policy", true},
		{"proxy/http1", "github.com/x/y", false},
		{"proxy/http1", "moorgate/router", false},
		{"proxy/http1", "net/textproto", true},
		{"terminal", "moorgate/proxy", false},
		{"common", "fmt", false},
	}
	for _, test := range tests {
		if fault := judgeImport("moorgate", test.from, test.imported); (fault == "") != test.ok {
			t.Errorf("%s importing %s: %q", test.from, test.imported, fault)
		}
	}
}

// skipped says whether a folder holds no packages of this module.
func skipped(path, name string) bool {
	if name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

// moduleRoot finds the folder of go.mod and the module's name.
func moduleRoot(t *testing.T) (root, module string) {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(root, "go.mod"))
		if err == nil {
			first, _, _ := strings.Cut(string(data), "\n")
			return root, strings.TrimPrefix(strings.TrimSpace(first), "module ")
		}
		parent := filepath.Dir(root)
		if parent == root {
			t.Fatal("no go.mod above the working directory")
		}
		root = parent
	}
}
