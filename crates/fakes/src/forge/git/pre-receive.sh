#!/bin/sh
# Refuses the pushes that GitHub refuses, in its words. Runs in the bare repository.
status=0
while read -r old new ref; do
    if [ -f protected ] && grep -Fxq -- "${ref#refs/heads/}" protected; then
        echo "error: GH006: Protected branch update failed for $ref."
        echo "error: At least 1 approving review is required by reviewers with write access."
        status=1
    fi
    case $new in
    *[!0]*) ;;
    *) continue ;; # A deletion brings no files.
    esac
    [ "$FAKE_FORGE_WORKFLOWS" = allowed ] && continue
    file=$(git log --format= --name-only "$new" --not --all -- .github/workflows | head -n 1)
    if [ -n "$file" ]; then
        echo "refusing to allow a Personal Access Token to create or update workflow \`$file\` without \`workflow\` scope"
        status=1
    fi
done
exit $status
