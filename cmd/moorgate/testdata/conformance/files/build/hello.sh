echo "$COLOR $(id -un) $(cat /copied)"
