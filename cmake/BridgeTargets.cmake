# How this project declares its targets; a folder's CMakeLists.txt is a call or two of these.

# bridge_library(NAME [SOURCES ...] [HEADERS ...] [DEPS ...])
# The library of bridge/NAME, alias bridge::NAME. DEPS are public: they are the arrows between the folders, which
# tests/tidy checks against the #includes.
function(bridge_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;HEADERS;DEPS")
  set(target bridge_${name})
  if(arg_SOURCES)
    add_library(${target} STATIC ${arg_SOURCES})
    set(scope PUBLIC)
    target_link_libraries(${target} PRIVATE bridge_warnings)
    bridge_precompile(${target})
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${arg_HEADERS})
  target_link_libraries(${target} ${scope} ${arg_DEPS})
  add_library(bridge::${name} ALIAS ${target})
endfunction()

# One precompiled header for all of our own code: bridge_base makes it, the others use it again.
function(bridge_precompile target)
  if(target STREQUAL "bridge_base")
    target_precompile_headers(${target} PRIVATE
      <algorithm> <atomic> <chrono> <cstdint> <functional> <map> <memory> <optional> <span> <string> <string_view>
      <unordered_map> <utility> <vector>
      <absl/container/flat_hash_map.h> <absl/functional/any_invocable.h> <absl/status/statusor.h>
      <absl/strings/str_cat.h> <absl/strings/str_format.h> <absl/synchronization/mutex.h> <absl/time/time.h>)
  else()
    target_precompile_headers(${target} REUSE_FROM bridge_base)
    target_link_libraries(${target} PRIVATE bridge_base)
  endif()
endfunction()

# bridge_proto(NAME PROTOS a.proto ... [GRPC] [DEPS ...])
# The library of generated code for files below proto/, alias bridge::NAME.
function(bridge_proto name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "GRPC" "" "PROTOS;DEPS")
  set(root ${PROJECT_SOURCE_DIR}/proto)
  set(out ${PROJECT_BINARY_DIR}/proto)
  set(generated)
  foreach(proto IN LISTS arg_PROTOS)
    string(REGEX REPLACE "\\.proto$" "" base ${proto})
    set(outputs ${out}/${base}.pb.cc ${out}/${base}.pb.h)
    set(grpc_args)
    if(arg_GRPC)
      list(APPEND outputs ${out}/${base}.grpc.pb.cc ${out}/${base}.grpc.pb.h)
      set(grpc_args --grpc_out=${out} --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>)
    endif()
    add_custom_command(OUTPUT ${outputs}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
      COMMAND protobuf::protoc -I ${root} --cpp_out=${out} ${grpc_args} ${root}/${proto}
      DEPENDS ${root}/${proto} VERBATIM)
    list(APPEND generated ${outputs})
  endforeach()
  set(target bridge_${name})
  add_library(${target} STATIC ${generated})
  target_include_directories(${target} SYSTEM PUBLIC ${out})
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf ${arg_DEPS})
  if(arg_GRPC)
    target_link_libraries(${target} PUBLIC gRPC::grpc++)
  endif()
  add_library(bridge::${name} ALIAS ${target})
endfunction()

# bridge_test(PATH [DEPS ...] [LABELS ...] [ENVIRONMENT ...] [TIMEOUT seconds])
# A gtest program from tests/<kind>/PATH_test.cc, called in that kind's CMakeLists.txt; the test is named kind/PATH.
function(bridge_test path)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "DEPS;LABELS;ENVIRONMENT")
  get_filename_component(kind ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  string(REPLACE "/" "_" target "${kind}_${path}_test")
  add_executable(${target} ${path}_test.cc)
  target_link_libraries(${target} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest_main bridge_warnings)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  bridge_precompile(${target})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  add_test(NAME ${kind}/${path} COMMAND ${target})
  set_tests_properties(${kind}/${path} PROPERTIES LABELS "${kind};${arg_LABELS}" TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "${arg_ENVIRONMENT}")
endfunction()

# bridge_fuzzer(NAME [DEPS ...])
# The libFuzzer program of NAME_fuzzer.cc with the corpus NAME_corpus beside it, and the test fuzz/NAME, which runs it once on that corpus.
# Without BRIDGE_FUZZ nothing is built.
function(bridge_fuzzer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPS")
  if(NOT BRIDGE_FUZZ)
    return()
  endif()
  add_executable(${name}_fuzzer ${name}_fuzzer.cc)
  target_link_libraries(${name}_fuzzer PRIVATE ${arg_DEPS} bridge_warnings)
  target_include_directories(${name}_fuzzer PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_options(${name}_fuzzer PRIVATE -fsanitize=fuzzer)
  add_test(NAME fuzz/${name} COMMAND ${name}_fuzzer -runs=0 ${CMAKE_CURRENT_SOURCE_DIR}/${name}_corpus)
  set_tests_properties(fuzz/${name} PROPERTIES LABELS fuzz TIMEOUT 60)
endfunction()
