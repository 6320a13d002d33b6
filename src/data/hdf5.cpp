#include "data/hdf5.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "data/hdf5_library.h"

namespace mpibert::hdf5 {

namespace {

// Elements of a chunk: small, because samples are read at random and a checksum covers a whole chunk.
constexpr hsize_t kChunkElements = 16384;
constexpr size_t kMaxTextBytes = size_t{1} << 16;

// Format 1.10 exactly: the one whose metadata are checksummed; and no locks, which shared file systems often lack.
Handle file_access(const std::filesystem::path& path) {
  Handle list = make_list(H5P_FILE_ACCESS, path);
  check(H5Pset_libver_bounds(list.id(), H5F_LIBVER_V110, H5F_LIBVER_V110), ErrorKind::kIo, path, "choose the file format");
  check(H5Pset_file_locking(list.id(), false, true), ErrorKind::kIo, path, "switch off file locks");
  return list;
}

// The system's opinion first, because the library does not say why it cannot open a file.
void check_readable(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const int code = errno;
  if (descriptor >= 0) {
    ::close(descriptor);
    return;
  }
  const ErrorKind kind = code == ENOENT || code == ENOTDIR ? ErrorKind::kNotFound
                         : code == EACCES || code == EPERM ? ErrorKind::kPermission
                                                           : ErrorKind::kIo;
  throw Error(kind, str_cat("cannot open ", path.string(), ": ", std::strerror(code)));
}

}  // namespace

const char* name_of(Type type) {
  constexpr std::array<const char*, 8> kNames = {"uint8", "uint16", "int32", "int64", "float32", "uint32", "int8", "int16"};
  return kNames[static_cast<size_t>(type)];
}

int64_t bytes_of(Type type) {
  constexpr std::array<int64_t, 8> kBytes = {1, 2, 4, 8, 4, 4, 1, 2};
  return kBytes[static_cast<size_t>(type)];
}

void Handle::reset() {
  if (id_ < 0) return;
  const Session session;
  close_(id_);
  id_ = -1;
}

Handle& Handle::operator=(Handle&& other) noexcept {
  if (this == &other) return *this;
  reset();
  id_ = other.id_;
  close_ = other.close_;
  other.id_ = -1;
  return *this;
}

File File::create(const std::filesystem::path& path) {
  const Session session;
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  const int code = errno;
  MPIBERT_CHECK(descriptor >= 0 || (code != EACCES && code != EPERM && code != EROFS), kPermission, "cannot create ", path.string(), ": ",
                std::strerror(code));
  MPIBERT_CHECK(descriptor >= 0, kIo, "cannot create ", path.string(), ": ", std::strerror(code));
  ::close(descriptor);
  const Handle access = file_access(path), creation = make_list(H5P_FILE_CREATE, path);
  check(H5Pset_obj_track_times(creation.id(), false), ErrorKind::kIo, path,
        "switch off times");  // of the root group: equal data, equal bytes
  File file;
  file.path_ = path;
  file.handle_ = Handle(check(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.id(), access.id()), ErrorKind::kIo, path, "create the file"),
                        close_file);
  return file;
}

File File::open(const std::filesystem::path& path) {
  check_readable(path);
  const Session session;
  const Handle access = file_access(path);
  File file;
  file.path_ = path;
  file.handle_ =
      Handle(check(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.id()), ErrorKind::kCorrupt, path, "open it as HDF5"), close_file);
  return file;
}

void File::close() {
  const Session session;
  check(H5Fflush(handle_.id(), H5F_SCOPE_GLOBAL), ErrorKind::kIo, path_, "write the file; is the disk full?");
  Handle handle = std::move(handle_);
  handle.reset();
}

void File::write_integer(const std::string& name, int64_t value) {
  const Session session;
  const Handle space(check(H5Screate(H5S_SCALAR), ErrorKind::kIo, path_, "make a data space"), close_space);
  const Handle attribute(check(H5Acreate2(handle_.id(), name.c_str(), H5T_STD_I64LE, space.id(), H5P_DEFAULT, H5P_DEFAULT), ErrorKind::kIo,
                               path_, "create attribute " + name),
                         close_attribute);
  check(H5Awrite(attribute.id(), H5T_NATIVE_INT64, &value), ErrorKind::kIo, path_, "write attribute " + name);
}

// Text is an array of bytes, so that it may be empty.
void File::write_text(const std::string& name, const std::string& text) {
  MPIBERT_CHECK(text.size() < kMaxTextBytes, kInvalidArgument, path_.string(), ": attribute ", name, " has ", text.size(),
                " bytes, more than ", kMaxTextBytes);
  const Session session;
  const hsize_t size = text.size();
  const Handle space(
      check(size > 0 ? H5Screate_simple(1, &size, nullptr) : H5Screate(H5S_NULL), ErrorKind::kIo, path_, "make a data space"), close_space);
  const Handle attribute(check(H5Acreate2(handle_.id(), name.c_str(), H5T_STD_U8LE, space.id(), H5P_DEFAULT, H5P_DEFAULT), ErrorKind::kIo,
                               path_, "create attribute " + name),
                         close_attribute);
  if (size > 0) check(H5Awrite(attribute.id(), H5T_NATIVE_UINT8, text.data()), ErrorKind::kIo, path_, "write attribute " + name);
}

namespace {

Handle make_creation_list(const std::filesystem::path& path) {
  Handle list = make_list(H5P_DATASET_CREATE, path);
  check(H5Pset_obj_track_times(list.id(), false), ErrorKind::kIo, path, "switch off times");
  return list;
}

void create_and_write(hid_t file, const std::filesystem::path& path, const std::string& name, Type type, const void* values, hsize_t size,
                      hsize_t limit, hid_t creation) {
  const Handle space(check(H5Screate_simple(1, &size, &limit), ErrorKind::kIo, path, "make a data space"), close_space);
  const Handle dataset(check(H5Dcreate2(file, name.c_str(), stored_type(type), space.id(), H5P_DEFAULT, creation, H5P_DEFAULT),
                             ErrorKind::kIo, path, "create dataset " + name),
                       close_dataset);
  if (size > 0)
    check(H5Dwrite(dataset.id(), memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, values), ErrorKind::kIo, path,
          "write dataset " + name + "; is the disk full?");
}

}  // namespace

void File::write(const std::string& name, Type type, const void* values, int64_t count) {
  const Session session;
  const hsize_t size = static_cast<hsize_t>(count), limit = std::max<hsize_t>(size, 1), chunk = std::min(limit, kChunkElements);
  const Handle creation = make_creation_list(path_);
  check(H5Pset_chunk(creation.id(), 1, &chunk), ErrorKind::kIo, path_, "choose the chunks");
  check(H5Pset_fill_time(creation.id(), H5D_FILL_TIME_ALLOC), ErrorKind::kIo, path_,
        "fill the last chunk");  // else its end is what memory held
  check(H5Pset_fletcher32(creation.id()), ErrorKind::kIo, path_, "switch on checksums");
  create_and_write(handle_.id(), path_, name, type, values, size, limit, creation.id());
}

void File::write_contiguous(const std::string& name, Type type, const void* values, int64_t count) {
  const Session session;
  const Handle creation = make_creation_list(path_);
  check(H5Pset_fill_time(creation.id(), H5D_FILL_TIME_NEVER), ErrorKind::kIo, path_, "switch off fill values");
  create_and_write(handle_.id(), path_, name, type, values, static_cast<hsize_t>(count), static_cast<hsize_t>(count), creation.id());
}

int64_t File::read_integer(const std::string& name) const {
  const Session session;
  const Handle attribute(check(H5Aopen(handle_.id(), name.c_str(), H5P_DEFAULT), ErrorKind::kCorrupt, path_, "find attribute " + name),
                         close_attribute);
  const Handle type(check(H5Aget_type(attribute.id()), ErrorKind::kCorrupt, path_, "examine attribute " + name), close_type);
  const Handle space(check(H5Aget_space(attribute.id()), ErrorKind::kCorrupt, path_, "examine attribute " + name), close_space);
  MPIBERT_CHECK(H5Tequal(type.id(), H5T_STD_I64LE) > 0 && H5Sget_simple_extent_npoints(space.id()) == 1, kCorrupt, path_.string(),
                ": attribute ", name, " is not one int64");
  int64_t value = 0;
  check(H5Aread(attribute.id(), H5T_NATIVE_INT64, &value), ErrorKind::kCorrupt, path_, "read attribute " + name);
  return value;
}

std::string File::read_text(const std::string& name) const {
  const Session session;
  const Handle attribute(check(H5Aopen(handle_.id(), name.c_str(), H5P_DEFAULT), ErrorKind::kCorrupt, path_, "find attribute " + name),
                         close_attribute);
  const Handle type(check(H5Aget_type(attribute.id()), ErrorKind::kCorrupt, path_, "examine attribute " + name), close_type);
  const Handle space(check(H5Aget_space(attribute.id()), ErrorKind::kCorrupt, path_, "examine attribute " + name), close_space);
  const hssize_t size = H5Sget_simple_extent_npoints(space.id());
  MPIBERT_CHECK(H5Tequal(type.id(), H5T_STD_U8LE) > 0 && size >= 0 && size < static_cast<hssize_t>(kMaxTextBytes), kCorrupt, path_.string(),
                ": attribute ", name, " is not text of less than ", kMaxTextBytes, " bytes");
  std::string text(static_cast<size_t>(size), '\0');
  if (size > 0) check(H5Aread(attribute.id(), H5T_NATIVE_UINT8, text.data()), ErrorKind::kCorrupt, path_, "read attribute " + name);
  return text;
}

namespace {

// Only what write() makes is read: chunked, one filter and that the checksum, every chunk there. This keeps out virtual and external
// storage, filters loaded from elsewhere, and chunks that are absent and would read as zeros.
void check_storage(hid_t dataset, int64_t stored_bytes, const std::filesystem::path& path, const std::string& name) {
  const Handle creation(check(H5Dget_create_plist(dataset), ErrorKind::kCorrupt, path, "examine dataset " + name), close_list);
  MPIBERT_CHECK(H5Pget_layout(creation.id()) == H5D_CHUNKED, kCorrupt, path.string(), ": dataset ", name, " is not chunked");
  unsigned flags = 0, config = 0;
  size_t parameters = 0;
  const bool checksummed = H5Pget_nfilters(creation.id()) == 1 &&
                           H5Pget_filter2(creation.id(), 0, &flags, &parameters, nullptr, 0, nullptr, &config) == H5Z_FILTER_FLETCHER32;
  MPIBERT_CHECK(checksummed, kCorrupt, path.string(), ": dataset ", name, " does not have fletcher32 as its one filter");
  const int64_t there = static_cast<int64_t>(H5Dget_storage_size(dataset));
  MPIBERT_CHECK(there >= stored_bytes, kCorrupt, path.string(), ": dataset ", name, " needs ", stored_bytes, " bytes, but the file has ",
                there, " of it; prepare the data again");
}

}  // namespace

namespace {

// A dataset of one dimension and of a type we write.
struct Opened {
  Handle handle;
  int64_t size = 0;
  Type type = Type::kInt32;
};

Opened open_checked(hid_t file, const std::filesystem::path& path, const std::string& name) {
  check_link(file, path, name);
  const Handle access = make_list(H5P_DATASET_ACCESS, path);
  check(H5Pset_chunk_cache(access.id(), 0, 0, 1.0), ErrorKind::kIo, path,
        "switch off the chunk cache");  // decoded samples are cached above
  Opened opened{
      .handle = Handle(check(H5Dopen2(file, name.c_str(), access.id()), ErrorKind::kCorrupt, path, "open dataset " + name), close_dataset)};
  const Handle space(check(H5Dget_space(opened.handle.id()), ErrorKind::kCorrupt, path, "examine dataset " + name), close_space);
  MPIBERT_CHECK(H5Sget_simple_extent_ndims(space.id()) == 1, kCorrupt, path.string(), ": dataset ", name, " does not have one dimension");
  hsize_t size = 0;
  check(H5Sget_simple_extent_dims(space.id(), &size, nullptr), ErrorKind::kCorrupt, path, "examine dataset " + name);
  MPIBERT_CHECK(size < (hsize_t{1} << 56), kCorrupt, path.string(), ": dataset ", name, " claims ", size, " elements");
  opened.size = static_cast<int64_t>(size);
  const Handle type(check(H5Dget_type(opened.handle.id()), ErrorKind::kCorrupt, path, "examine dataset " + name), close_type);
  constexpr std::array kTypes = {Type::kUInt8, Type::kUInt16, Type::kInt32, Type::kInt64, Type::kFloat32, Type::kUInt32};
  const auto known = std::find_if(kTypes.begin(), kTypes.end(), [&](Type t) { return H5Tequal(type.id(), stored_type(t)) > 0; });
  MPIBERT_CHECK(known != kTypes.end(), kCorrupt, path.string(), ": dataset ", name, " has a number type that no shard has");
  opened.type = *known;
  return opened;
}

}  // namespace

Dataset File::open_dataset(const std::string& name) const {
  const Session session;
  Opened opened = open_checked(handle_.id(), path_, name);
  check_storage(opened.handle.id(), opened.size * bytes_of(opened.type), path_, name);
  Dataset dataset;
  dataset.path_ = path_;
  dataset.name_ = name;
  dataset.handle_ = std::move(opened.handle);
  dataset.size_ = opened.size;
  dataset.type_ = opened.type;
  return dataset;
}

Extent File::locate(const std::string& name) const {
  const Session session;
  const Opened opened = open_checked(handle_.id(), path_, name);
  Extent extent{.offset = 0, .size = opened.size, .type = opened.type};
  const Handle creation(check(H5Dget_create_plist(opened.handle.id()), ErrorKind::kCorrupt, path_, "examine dataset " + name), close_list);
  MPIBERT_CHECK(H5Pget_layout(creation.id()) == H5D_CONTIGUOUS && H5Pget_external_count(creation.id()) == 0, kCorrupt, path_.string(),
                ": dataset ", name, " is not contiguous");
  if (extent.size == 0) return extent;
  const haddr_t offset = H5Dget_offset(opened.handle.id());
  const auto file_bytes = static_cast<int64_t>(std::filesystem::file_size(path_));
  const bool inside =
      offset != HADDR_UNDEF && offset <= static_cast<haddr_t>(file_bytes) && extent.bytes() <= file_bytes - static_cast<int64_t>(offset);
  MPIBERT_CHECK(inside, kCorrupt, path_.string(), ": dataset ", name, " of ", extent.bytes(), " bytes is not inside the file of ",
                file_bytes, "; the file is cut off, prepare the data again");
  extent.offset = static_cast<int64_t>(offset);
  return extent;
}

void Dataset::read_into(int64_t begin, int64_t end, void* values) const {
  MPIBERT_CHECK(begin >= 0 && begin <= end && end <= size_, kInvalidArgument, path_.string(), ": elements ", begin, " to ", end,
                " of dataset ", name_, " of ", size_);
  if (begin == end) return;
  const Session session;
  const hsize_t start = static_cast<hsize_t>(begin), count = static_cast<hsize_t>(end - begin);
  const Handle from(check(H5Dget_space(handle_.id()), ErrorKind::kCorrupt, path_, "examine dataset " + name_), close_space);
  const Handle to(check(H5Screate_simple(1, &count, nullptr), ErrorKind::kIo, path_, "make a data space"), close_space);
  check(H5Sselect_hyperslab(from.id(), H5S_SELECT_SET, &start, nullptr, &count, nullptr), ErrorKind::kCorrupt, path_,
        "select of dataset " + name_);
  check(H5Dread(handle_.id(), memory_type(type_), to.id(), from.id(), H5P_DEFAULT, values), ErrorKind::kCorrupt, path_,
        str_cat("read elements ", begin, " to ", end, " of dataset ", name_, " (damaged; prepare the data again)"));
}

int64_t open_objects() {
  const Session session;
  return H5Fget_obj_count(static_cast<hid_t>(H5F_OBJ_ALL), H5F_OBJ_ALL);
}

}  // namespace mpibert::hdf5
