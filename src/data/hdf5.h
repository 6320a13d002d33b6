#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/global_heap.h"
#include "mpibert/base/error.h"

// What this project needs of HDF5: files of one-dimensional datasets, each chunked and checksummed or contiguous, with attributes at the
// root; and, for files of other programs, tables of integers (hdf5_table.cpp). One mutex guards the library, because some builds of it are
// not thread-safe. Errors carry the path, the object, and the library's own words.
namespace mpibert::hdf5 {

enum class Type : uint8_t { kUInt8, kUInt16, kInt32, kInt64, kFloat32, kUInt32, kInt8, kInt16 };
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

// Rows end to end: row i of those read is values[offsets[i]] .. values[offsets[i+1]-1].
struct Rows {
  std::vector<int32_t> values;
  std::vector<int64_t> offsets{0};
  std::span<const int32_t> row(int64_t i) const;
};

// A dataset of integers of another program's file, open for reading: [rows] or [rows, columns], or [rows] of variable length. A vector has
// rows of one value.
class Table {
 public:
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }  // 0 where rows are of variable length
  bool is_matrix() const { return is_matrix_; }
  Type type() const { return type_; }           // as stored; of kUInt8, kUInt16, kInt8, kInt16, kInt32
  Rows read(int64_t begin, int64_t end) const;  // throws kCorrupt

 private:
  friend class File;
  void open_ragged(int64_t base_type);
  Rows read_ragged(int64_t begin, int64_t end) const;
  Handle handle_;
  std::filesystem::path path_;
  std::string name_;
  int64_t rows_ = 0, columns_ = 1;
  bool is_matrix_ = false;
  Type type_ = Type::kInt32;
  std::unique_ptr<GlobalHeap> heap_;  // of rows of variable length
  uint64_t references_ = 0;           // byte of the file where they begin
};

class File {
 public:
  static File create(const std::filesystem::path& path);  // replaces what is there; kIo, kPermission
  static File open(const std::filesystem::path& path);    // read-only; kNotFound, kPermission, kCorrupt

  void write_integer(const std::string& name, int64_t value);
  void write_text(const std::string& name, const std::string& text);
  void write(const std::string& name, Type type, const void* values, int64_t count);
  void write_contiguous(const std::string& name, Type type, const void* values, int64_t count);  // without a checksum
  // Tables as other programs keep them: no checksum, in chunks of whole rows packed with gzip of this level, 0 for none. Values have to fit
  // the type; `values` gives rows begin .. end-1 end to end, each of `columns` numbers, or one of a vector (no columns).
  void write_table(const std::string& name, Type type, int64_t rows, std::optional<int64_t> columns, int gzip,
                   const std::function<std::vector<int32_t>(int64_t begin, int64_t end)>& values);
  void write_ragged_table(const std::string& name, Type type, int64_t rows,
                          const std::function<std::span<const int32_t>(int64_t row)>& values);
  void close();  // of a file written: kIo if the rest cannot be written

  // Throw kCorrupt when the object is absent or of another type, shape or storage than write() makes.
  int64_t read_integer(const std::string& name) const;
  std::string read_text(const std::string& name) const;
  Dataset open_dataset(const std::string& name) const;
  Extent locate(const std::string& name) const;  // of a dataset that write_contiguous() made; inside the file

  bool has(const std::string& name) const;  // an object of this name at the root
  // Throws kCorrupt for what is no table of integers of at most 32 bits, kept in this file alone, without filters but gzip, shuffle and
  // fletcher32; rows of variable length have to be little-endian and in one piece.
  Table open_table(const std::string& name) const;

 private:
  Handle handle_;
  std::filesystem::path path_;
};

// Files, datasets and attributes that the library holds open in this process.
int64_t open_objects();

}  // namespace mpibert::hdf5
