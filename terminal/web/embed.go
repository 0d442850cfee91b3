// Package web is moorgate's page: its source, and the files that `make web`
// builds from it.
//
// The built files are not in the repository. A binary built without them
// works but for the page, which says how to get it.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed all:dist
var dist embed.FS

// ErrNotBuilt says that this binary was built before the page was.
var ErrNotBuilt = errors.New("this moorgate was built without its page: run make build")

// FS returns the built files: index.html, and assets/ whose names carry a
// hash of their content.
func FS() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // "dist" is a valid path
	}
	return sub
}

// Index returns the page itself, or ErrNotBuilt.
func Index() ([]byte, error) { return index(FS()) }

func index(files fs.FS) ([]byte, error) {
	page, err := fs.ReadFile(files, "index.html")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotBuilt
	}
	return page, err
}

// Handler serves /assets/..., compressed for those who take it, and to be kept
// by browsers for ever; anything else is not found. The page itself is the
// caller's to serve, with the headers that protect it.
func Handler() http.Handler {
	return &assets{files: FS()}
}

type assets struct {
	files fs.FS
	known sync.Map // path: *asset
}

type asset struct {
	kind, tag    string
	body, zipped []byte // zipped is nil where it would not be smaller
}

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	file, err := a.open(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body, tag := file.body, file.tag
	if file.zipped != nil && takesGzip(r.Header.Get("Accept-Encoding")) {
		body, tag = file.zipped, file.tag+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", `"`+tag+`"`)
	if r.Header.Get("If-None-Match") == `"`+tag+`"` {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the browser that went away needs no answer
	}
}

func (a *assets) open(name string) (*asset, error) {
	if known, ok := a.known.Load(name); ok {
		return known.(*asset), nil
	}
	if !strings.HasPrefix(name, "assets/") {
		return nil, fs.ErrNotExist
	}
	body, err := fs.ReadFile(a.files, name)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	file := &asset{kind: contentType(name), tag: hex.EncodeToString(sum[:8]), body: body}
	if zipped := compress(body); len(zipped) < len(body) {
		file.zipped = zipped
	}
	a.known.Store(name, file)
	return file, nil
}

func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js": // mime asks the machine's files, which may say otherwise
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(ext)
	}
}

func compress(body []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // fails for unknown levels only
	_, _ = w.Write(body)                                    // a Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// takesGzip reads Accept-Encoding as browsers write it; a quality of zero
// means no.
func takesGzip(accept string) bool {
	for _, coding := range strings.Split(accept, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if name != "gzip" {
			continue
		}
		q, ok := strings.CutPrefix(strings.TrimSpace(params), "q=")
		if !ok {
			return true
		}
		quality, err := strconv.ParseFloat(q, 64)
		return err == nil && quality > 0
	}
	return false
}
