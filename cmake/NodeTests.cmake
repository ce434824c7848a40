# The tests in JavaScript. They need a newer Node.js than Debian has; scripts/setup --tests puts one into build/node and their packages into
# tests/node_modules.
include_guard(GLOBAL)

file(READ ${PROJECT_SOURCE_DIR}/tests/package.json node_requirement)
string(JSON node_requirement GET "${node_requirement}" engines node)
string(REGEX REPLACE "^>=" "" node_version_min "${node_requirement}")

find_program(NODE_EXECUTABLE node PATHS ${PROJECT_SOURCE_DIR}/build/node/node_modules/.bin NO_DEFAULT_PATH)
find_program(NODE_EXECUTABLE node)
set(node_version "none")
if(NODE_EXECUTABLE)
  execute_process(COMMAND ${NODE_EXECUTABLE} --version OUTPUT_VARIABLE node_version OUTPUT_STRIP_TRAILING_WHITESPACE)
  string(REGEX REPLACE "^v" "" node_version "${node_version}")
endif()
if(node_version VERSION_LESS node_version_min OR NOT IS_DIRECTORY ${PROJECT_SOURCE_DIR}/tests/node_modules)
  message(WARNING "Without the tests in JavaScript: they need Node.js ${node_version_min} (found: ${node_version}) and "
                  "tests/node_modules. scripts/setup --tests gets both.")
  unset(NODE_EXECUTABLE CACHE)
endif()

# bridge_node_test(NAME [LABELS ...] [TIMEOUT seconds])
# NAME.test.mjs beside the calling CMakeLists.txt, run by Node.js' own test runner against this build's sse-bridge; the test is named kind/NAME.
function(bridge_node_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "LABELS")
  if(NOT NODE_EXECUTABLE)
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  get_filename_component(kind ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  add_test(NAME ${kind}/${name}
    COMMAND ${NODE_EXECUTABLE} --experimental-eventsource --test --test-force-exit --test-timeout=60000
            --test-reporter=spec ${CMAKE_CURRENT_SOURCE_DIR}/${name}.test.mjs)
  set_tests_properties(${kind}/${name} PROPERTIES LABELS "${kind};${arg_LABELS}" TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "BRIDGE_BIN=${CMAKE_BINARY_DIR}/bin/sse-bridge")
endfunction()

# bridge_container_test(NAME)
# NAME.test.mjs beside the calling CMakeLists.txt, run in a Docker engine by scripts/test-containers, which builds the images first; the test is
# named NAME/NAME.
function(bridge_container_test name)
  if(NOT NODE_EXECUTABLE)
    return()
  endif()
  add_test(NAME ${name}/${name} COMMAND ${PROJECT_SOURCE_DIR}/scripts/test-containers ${name})
  set_tests_properties(${name}/${name} PROPERTIES LABELS "${name};long" TIMEOUT 3600 SKIP_RETURN_CODE 77 RUN_SERIAL ON)
endfunction()
