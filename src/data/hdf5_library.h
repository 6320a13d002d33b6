#pragma once

#include <hdf5.h>

#include <mutex>

#include "data/hdf5.h"

// What the files of data/hdf5.h share. Only they include the library's header.
namespace mpibert::hdf5 {

static_assert(sizeof(hid_t) == sizeof(int64_t), "HDF5 1.10 or newer");

inline std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

// Holds the mutex, and keeps the library from printing to stderr and from tearing itself down at exit, when a reading thread may still run.
class Session {
 public:
  Session() : lock_(library_mutex()) {
    static const herr_t once = H5dont_atexit();
    static_cast<void>(once);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }

 private:
  std::lock_guard<std::recursive_mutex> lock_;
};

inline herr_t keep_innermost(unsigned, const H5E_error2_t* entry, void* text) {
  if (entry->desc != nullptr) *static_cast<std::string*>(text) = entry->desc;
  return 0;
}

// The library's own words: the innermost entry of its error stack.
inline std::string library_error() {
  std::string text = "unknown error";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_innermost, &text);
  H5Eclear2(H5E_DEFAULT);
  return text;
}

// A negative result of the library becomes an error of the given kind.
template <class Result>
Result check(Result result, ErrorKind kind, const std::filesystem::path& path, const std::string& what) {
  if (result < 0) throw Error(kind, str_cat(path.string(), ": cannot ", what, ": ", library_error()));
  return result;
}

inline hid_t stored_type(Type type) {
  switch (type) {
    case Type::kUInt8:
      return H5T_STD_U8LE;
    case Type::kUInt16:
      return H5T_STD_U16LE;
    case Type::kInt32:
      return H5T_STD_I32LE;
    case Type::kInt64:
      return H5T_STD_I64LE;
    case Type::kFloat32:
      return H5T_IEEE_F32LE;
    case Type::kUInt32:
      return H5T_STD_U32LE;
    case Type::kInt8:
      return H5T_STD_I8LE;
    case Type::kInt16:
      return H5T_STD_I16LE;
  }
  throw std::logic_error("unknown HDF5 type");
}

inline hid_t memory_type(Type type) {
  switch (type) {
    case Type::kUInt8:
      return H5T_NATIVE_UINT8;
    case Type::kUInt16:
      return H5T_NATIVE_UINT16;
    case Type::kInt32:
      return H5T_NATIVE_INT32;
    case Type::kInt64:
      return H5T_NATIVE_INT64;
    case Type::kFloat32:
      return H5T_NATIVE_FLOAT;
    case Type::kUInt32:
      return H5T_NATIVE_UINT32;
    case Type::kInt8:
      return H5T_NATIVE_INT8;
    case Type::kInt16:
      return H5T_NATIVE_INT16;
  }
  throw std::logic_error("unknown HDF5 type");
}

inline int close_file(int64_t id) { return H5Fclose(id); }
inline int close_dataset(int64_t id) { return H5Dclose(id); }
inline int close_space(int64_t id) { return H5Sclose(id); }
inline int close_list(int64_t id) { return H5Pclose(id); }
inline int close_type(int64_t id) { return H5Tclose(id); }
inline int close_attribute(int64_t id) { return H5Aclose(id); }

inline Handle make_list(hid_t kind, const std::filesystem::path& path) {
  return Handle(check(H5Pcreate(kind), ErrorKind::kIo, path, "make a property list"), close_list);
}

inline void check_link(hid_t file, const std::filesystem::path& path, const std::string& name) {
  H5L_info_t link{};
  check(H5Lget_info(file, name.c_str(), &link, H5P_DEFAULT), ErrorKind::kCorrupt, path, "find dataset " + name);
  MPIBERT_CHECK(link.type == H5L_TYPE_HARD, kCorrupt, path.string(), ": dataset ", name, " is a link to elsewhere");
}

}  // namespace mpibert::hdf5
