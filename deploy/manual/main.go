// Command manual writes the generated manuals: CONFIGURATION.md from the
// comments of the configuration's structs, ROUTES.md from the route table. It
// is run in the module's root.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"moorgate/router"
)

func main() {
	dir := flag.String("dir", "deploy", "where the manuals are written")
	flag.Parse()
	if err := write(*dir); err != nil {
		fmt.Fprintf(os.Stderr, "manual: %v\n", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	configuration, err := configuration(".")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "CONFIGURATION.md"), configuration, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "ROUTES.md"), routes(router.Table()), 0o644)
}
