#!/usr/bin/env bash
# The wheel, as a user gets it: in an environment of its own, beside a user's tasks.py and optimizers/.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
uv=$root/.venv/bin/uv
reach() { "$@" 2>/dev/null || "$@" --system-certs; }  # behind a company's own certificates

cd "$root"
reach $uv build --quiet --wheel --out-dir "$tmp/dist"
$uv export --quiet --frozen --no-dev --no-emit-project --no-hashes --output-file "$tmp/locked.txt"
$uv venv --quiet --python "$root/.venv/bin/python" "$tmp/env"
reach $uv pip install --quiet --python "$tmp/env/bin/python" --constraint "$tmp/locked.txt" "$tmp"/dist/*.whl

mkdir -p "$tmp/user/optimizers" "$tmp/user/reports"
cd "$tmp/user"
echo 'raise SystemExit("the tasks.py of the user was imported")' | tee tasks.py optimizers/__init__.py reports/__init__.py >/dev/null
cat > model.py <<'PY'
def reply(request):
    return "Answer: 7"
PY
"$tmp/env/bin/optorace" run --task gym/chain_sum --optimizer none --lm script:model.py#reply \
  --set split.train=2 --set split.val=2 --set split.test=4 --out run
"$tmp/env/bin/optorace" report run --format csv | grep '^gym/chain_sum,' >/dev/null
"$tmp/env/bin/optorace" list tasks | grep '^bbh/web_of_lies$' >/dev/null
installed=$("$tmp/env/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
for name in tasks optimizers reports; do
  [ ! -e "$installed/$name" ] || { echo "the wheel put $name into site-packages" >&2; exit 1; }
done
"$tmp/env/bin/python" - <<'PY'
from harness.trace import node, trace_of
from harness.trace.draw import to_html
p = node("a", trainable=True)
assert "<svg" in to_html(trace_of(p + "b", {"p": p})).lower()
PY
echo "wheel: ok"
