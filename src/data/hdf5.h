#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "mpibert/base/error.h"

// What this project needs of HDF5: files of one-dimensional datasets, each chunked and checksummed or contiguous, with attributes at the root. hdf5.cpp is the
// only file that includes hdf5.h. One mutex guards the library, because some builds of it are not thread-safe.
// Errors carry the path, the object, and the library's own words.
namespace mpibert::hdf5 {

enum class Type : uint8_t { kUInt8, kUInt16, kInt32, kInt64, kFloat32, kUInt32 };
const char* name_of(Type type);
int64_t bytes_of(Type type);

// Owner of an identifier of the library.
class Handle {
 public:
  using Close = int (*)(int64_t);
  Handle() = default;
  Handle(int64_t id, Close close) : id_(id), close_(close) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept : id_(other.id_), close_(other.close_) { other.id_ = -1; }
  Handle& operator=(Handle&& other) noexcept;
  int64_t id() const { return id_; }
  void reset();

 private:
  int64_t id_ = -1;
  Close close_ = nullptr;
};

// A dataset open for reading.
class Dataset {
 public:
  int64_t size() const { return size_; }
  Type type() const { return type_; }
  // Elements begin .. end-1 as they are stored. A checksum that does not agree throws kCorrupt.
  template <class T>
  std::vector<T> read(int64_t begin, int64_t end) const {
    MPIBERT_ASSERT(static_cast<int64_t>(sizeof(T)) == bytes_of(type_));
    std::vector<T> values(static_cast<size_t>(end - begin));
    read_into(begin, end, values.data());
    return values;
  }

 private:
  friend class File;
  void read_into(int64_t begin, int64_t end, void* values) const;
  Handle handle_;
  std::filesystem::path path_;
  std::string name_;
  int64_t size_ = 0;
  Type type_ = Type::kInt32;
};

// Where the file holds a contiguous dataset: its elements are bytes offset .. offset + size * bytes_of(type) - 1, little-endian.
struct Extent {
  int64_t offset = 0, size = 0;
  Type type = Type::kInt32;
  int64_t bytes() const { return size * bytes_of(type); }
};

class File {
 public:
  static File create(const std::filesystem::path& path);  // replaces what is there; kIo, kPermission
  static File open(const std::filesystem::path& path);    // read-only; kNotFound, kPermission, kCorrupt

  void write_integer(const std::string& name, int64_t value);
  void write_text(const std::string& name, const std::string& text);
  void write(const std::string& name, Type type, const void* values, int64_t count);
  void write_contiguous(const std::string& name, Type type, const void* values, int64_t count);  // without a checksum
  void close();  // of a file written: kIo if the rest cannot be written

  // Throw kCorrupt when the object is absent or of another type, shape or storage than write() makes.
  int64_t read_integer(const std::string& name) const;
  std::string read_text(const std::string& name) const;
  Dataset open_dataset(const std::string& name) const;
  Extent locate(const std::string& name) const;  // of a dataset that write_contiguous() made; inside the file

 private:
  Handle handle_;
  std::filesystem::path path_;
};

// Files, datasets and attributes that the library holds open in this process.
int64_t open_objects();

}  // namespace mpibert::hdf5
