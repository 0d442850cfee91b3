target "default" {
  context = "build"
  tags    = ["buildx/b"]
}
