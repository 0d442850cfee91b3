package deploy_test

import (
	"path/filepath"
	"testing"
)

func TestManuals(t *testing.T) {
	heedSources()
	dir := t.TempDir()
	run(t, command("..", nil, "go", "run", "./deploy/manual", "-dir", dir))
	for _, name := range []string{"CONFIGURATION.md", "ROUTES.md"} {
		if read(t, filepath.Join(dir, name)) != read(t, name) {
			t.Errorf("deploy/%s is not what the code says: run `make docs`", name)
		}
	}
}
