# Compiler launcher, linker, warnings, sanitizers: everything about how code is compiled and nothing about what.

# Everything here has threads; some libraries ask for it and some do not, and the precompiled header serves all.
add_compile_options(-pthread)
add_link_options(-pthread)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header can be cached only with these.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  find_program(LLD NAMES ld.lld-19 ld.lld)
  if(LLD)
    add_link_options(--ld-path=${LLD})
  endif()
  # For ccache: the time stamp of a precompiled header is not part of what it holds.
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang$<SEMICOLON>-fno-pch-timestamp>)
else()
  find_program(MOLD mold)
  if(MOLD AND NOT CMAKE_INTERPROCEDURAL_OPTIMIZATION)
    add_link_options(-fuse-ld=mold)
  endif()
  add_compile_options(-fpch-preprocess)
endif()

if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT BRIDGE_SANITIZER)
  add_compile_definitions(_FORTIFY_SOURCE=2)
  add_compile_options(-fstack-protector-strong)
  add_link_options(-Wl,-z,relro -Wl,-z,now)
endif()

if(BRIDGE_SANITIZER STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(BRIDGE_SANITIZER STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer
    -fsanitize-ignorelist=${CMAKE_SOURCE_DIR}/tests/support/tsan_ignorelist.txt)
  add_link_options(-fsanitize=thread)
elseif(BRIDGE_SANITIZER)
  message(FATAL_ERROR "BRIDGE_SANITIZER=${BRIDGE_SANITIZER}: must be address, thread or empty")
endif()

if(BRIDGE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "BRIDGE_FUZZ needs clang (libFuzzer); use the preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(BRIDGE_COVERAGE)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "BRIDGE_COVERAGE needs clang (source-based coverage); use the preset coverage")
  endif()
  # The counters are written to the profile as they count, for many of the tests' bridges are killed.
  add_compile_options(-fprofile-instr-generate -fcoverage-mapping -fprofile-update=atomic
    "SHELL:-mllvm -runtime-counter-relocation")
  add_link_options(-fprofile-instr-generate)
endif()

# Linked privately by each of our own targets, so that no library's or generated code is compiled with them.
add_library(bridge_warnings INTERFACE)
target_compile_options(bridge_warnings INTERFACE
  -Werror -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wold-style-cast -Wextra-semi
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety -Wunreachable-code -Wshadow-all>
  # gcc 12 sees a dangling reference or an overread in std::string and regex code that has none (GCC bugs 105329, 105562).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict -Wno-maybe-uninitialized>)
