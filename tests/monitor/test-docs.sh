# docs/monitor.md and docs/qmp.md say what the tables say.
grep -q 'CONFIG_JSON_C 1' build/config.h || { echo "built without json-c"; exit 77; }
exec tools/monitor-docs "${BUILD:-build}"
