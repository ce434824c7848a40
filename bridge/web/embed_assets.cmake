# cmake -D ASSETS=<file;...> -D OUTPUT=<assets.cc> -P embed_assets.cmake
# Writes the implementation of web.h: each file's bytes as an array, and the table of them.

set(content_type_html "text/html; charset=utf-8")
set(content_type_css "text/css; charset=utf-8")
set(content_type_js "text/javascript; charset=utf-8")
set(content_type_svg "image/svg+xml")

set(arrays "")
set(table "")
foreach(asset IN LISTS ASSETS)
  string(REGEX REPLACE ".*\\." "" extension ${asset})
  if(NOT DEFINED content_type_${extension})
    message(FATAL_ERROR "${asset}: no content type is known for .${extension}; add it to embed_assets.cmake")
  endif()
  if(asset STREQUAL "index.html")
    set(path "/")
  else()
    set(path "/console/${asset}")
  endif()
  string(MAKE_C_IDENTIFIER ${asset} name)

  file(READ ${asset} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  file(SHA256 ${asset} digest)
  string(SUBSTRING ${digest} 0 16 etag)

  string(APPEND arrays "constexpr char ${name}[] = {\n${bytes}};\n\n")
  string(APPEND table "    {\"${path}\", \"${content_type_${extension}}\", {${name}, sizeof(${name})}, \"\\\"${etag}\\\"\"},\n")
endforeach()

file(WRITE ${OUTPUT} "// Made by embed_assets.cmake.
#include \"bridge/web/web.h\"

namespace bridge::web {
namespace {

${arrays}constexpr Asset kAssets[] = {
${table}};

}  // namespace

absl::Span<const Asset> Assets() { return kAssets; }

}  // namespace bridge::web
")
