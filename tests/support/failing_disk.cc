// A library for LD_PRELOAD: the calls that the file $FAILING_DISK names, in a line with a space before and after each,
// fail with EIO; those that it names as CALL:hangs do not return as long as it does. Where there is no such file, all
// is well.
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <dlfcn.h>
#include <fstream>
#include <string>
#include <sys/types.h>
#include <sys/uio.h>
#include <thread>

namespace {

bool IsNamed(const std::string& call) {
  static const char* const path = std::getenv("FAILING_DISK");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  std::string calls;
  return path != nullptr && std::getline(std::ifstream(path), calls) && calls.find(" " + call + " ") != calls.npos;
}

bool Fails(const std::string& call) {
  while (IsNamed(call + ":hangs")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (!IsNamed(call)) {
    return false;
  }
  errno = EIO;
  return true;
}

// What the call would be without this library.
template <typename Function>
Function* Real(const char* call) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, call));
}

}  // namespace

// NOLINTBEGIN(readability-identifier-naming): they are called so
extern "C" {

int fsync(int file) { return Fails("fsync") ? -1 : Real<int(int)>("fsync")(file); }

int fdatasync(int file) { return Fails("fdatasync") ? -1 : Real<int(int)>("fdatasync")(file); }

ssize_t pwrite(int file, const void* data, size_t size, off_t at) {
  return Fails("pwrite") ? -1 : Real<ssize_t(int, const void*, size_t, off_t)>("pwrite")(file, data, size, at);
}

ssize_t pwrite64(int file, const void* data, size_t size, off64_t at) { return pwrite(file, data, size, at); }

ssize_t pwritev(int file, const iovec* parts, int count, off_t at) {
  return Fails("pwritev") ? -1 : Real<ssize_t(int, const iovec*, int, off_t)>("pwritev")(file, parts, count, at);
}

ssize_t pwritev64(int file, const iovec* parts, int count, off64_t at) { return pwritev(file, parts, count, at); }

int fallocate(int file, int mode, off_t at, off_t size) {
  return Fails("fallocate") ? -1 : Real<int(int, int, off_t, off_t)>("fallocate")(file, mode, at, size);
}

int fallocate64(int file, int mode, off64_t at, off64_t size) { return fallocate(file, mode, at, size); }

}  // extern "C"
// NOLINTEND(readability-identifier-naming)
