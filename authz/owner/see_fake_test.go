package owner

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"

	"moorgate/router"
)

// fakeEngines answer from a table, by path; they have nothing else.
type fakeEngines struct {
	mu      sync.Mutex
	answers map[string]string
	asked   []string
}

func (f *fakeEngines) Get(_ context.Context, _, path string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, path)
	if answer, ok := f.answers[path]; ok {
		return []byte(answer), nil
	}
	return nil, &router.Error{Status: http.StatusNotFound, Message: "no such thing: " + path}
}

func (f *fakeEngines) Stream(ctx context.Context, engine, path string) (io.ReadCloser, error) {
	path, _, _ = strings.Cut(path, "?")
	text, err := f.Get(ctx, engine, path)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(strings.NewReader(string(text))), nil
}

func (f *fakeEngines) Post(ctx context.Context, engine, path string, _ []byte) ([]byte, error) {
	return f.Get(ctx, engine, path)
}
