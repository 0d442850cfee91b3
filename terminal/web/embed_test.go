package web

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// maxFirstPaint is the most that a browser may have to fetch before it shows
// something, in compressed bytes.
const maxFirstPaint = 110_000

func TestBuilt(t *testing.T) {
	page, err := Index()
	if err != nil {
		t.Fatal(err)
	}
	paint := compress(page)
	size := len(paint)
	named := regexp.MustCompile(`(?:href|src)="\./(assets/[^"]+)"`).FindAllSubmatch(page, -1)
	if len(named) < 2 {
		t.Fatalf("the page names %d files: it cannot be whole", len(named))
	}
	for _, m := range named {
		answer := get(t, Handler(), "/"+string(m[1]), "gzip")
		if answer.Code != http.StatusOK || answer.Header().Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: status %d, Content-Encoding %q", m[1], answer.Code, answer.Header().Get("Content-Encoding"))
		}
		size += answer.Body.Len()
	}
	t.Logf("first paint: %d bytes", size)
	if size > maxFirstPaint {
		t.Errorf("first paint: %d bytes, at most %d are allowed", size, maxFirstPaint)
	}
}

func TestHandler(t *testing.T) {
	script := []byte(strings.Repeat("export {};\n", 200))
	h := &assets{files: fstest.MapFS{
		"index.html":      {Data: []byte("<!doctype html>")},
		"assets/a-1.js":   {Data: script},
		"assets/b-2.css":  {Data: []byte("a{}")},
		"assets/c-3.svg":  {Data: []byte("<svg/>")},
		"assets/list.txt": {Data: []byte("text")},
	}}
	for _, c := range []struct {
		path, accept   string
		status         int
		kind, encoding string
	}{
		{"/assets/a-1.js", "", 200, "text/javascript; charset=utf-8", ""},
		{"/assets/a-1.js", "br, gzip;q=0.8", 200, "text/javascript; charset=utf-8", "gzip"},
		{"/assets/a-1.js", "gzip;q=0", 200, "text/javascript; charset=utf-8", ""},
		{"/assets/a-1.js", "gzip;q=nonsense", 200, "text/javascript; charset=utf-8", ""},
		{"/assets/b-2.css", "gzip", 200, "text/css; charset=utf-8", ""}, // smaller as it is
		{"/assets/c-3.svg", "", 200, "image/svg+xml", ""},
		{"/assets/list.txt", "", 200, "text/plain; charset=utf-8", ""},
		{"/assets/", "", 404, "", ""},
		{"/assets/none.js", "", 404, "", ""},
		{"/assets/../index.html", "", 404, "", ""},
		{"/index.html", "", 404, "", ""},
		{"/assets", "", 404, "", ""},
	} {
		answer := get(t, h, c.path, c.accept)
		if answer.Code != c.status {
			t.Errorf("%s (%s): status %d, want %d", c.path, c.accept, answer.Code, c.status)
			continue
		}
		if c.status != http.StatusOK {
			continue
		}
		head := answer.Header()
		if head.Get("Content-Type") != c.kind || head.Get("Content-Encoding") != c.encoding || head.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s (%s): headers %v", c.path, c.accept, head)
		}
		if !strings.Contains(head.Get("Cache-Control"), "immutable") || head.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", c.path, head)
		}
	}

	zipped := get(t, h, "/assets/a-1.js", "gzip")
	r, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || !bytes.Equal(text, script) {
		t.Errorf("compressed: %d bytes, %v", len(text), err)
	}

	plain := get(t, h, "/assets/a-1.js", "")
	if plain.Header().Get("ETag") == zipped.Header().Get("ETag") {
		t.Error("both forms have one ETag: a cache would mix them up")
	}
	again := httptest.NewRequest(http.MethodGet, "/assets/a-1.js", nil)
	again.Header.Set("If-None-Match", plain.Header().Get("ETag"))
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, again)
	if answer.Code != http.StatusNotModified || answer.Body.Len() != 0 {
		t.Errorf("known already: status %d, %d bytes", answer.Code, answer.Body.Len())
	}

	answer = httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodHead, "/assets/a-1.js", nil))
	if answer.Code != http.StatusOK || answer.Body.Len() != 0 || answer.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: status %d, %d bytes, headers %v", answer.Code, answer.Body.Len(), answer.Header())
	}
	answer = httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/assets/a-1.js", nil))
	if answer.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", answer.Code)
	}
}

func TestNotBuilt(t *testing.T) {
	if _, err := index(fstest.MapFS{".gitkeep": {}}); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("without the page: %v", err)
	}
	if _, err := fs.Stat(FS(), "."); err != nil {
		t.Errorf("FS: %v", err)
	}
}

func get(t *testing.T, h http.Handler, path, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.URL.Path = path // as it is, whatever a client would clean
	if accept != "" {
		r.Header.Set("Accept-Encoding", accept)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
