#include <algorithm>
#include <array>
#include <cstring>

#include "data/hdf5_library.h"

namespace mpibert::hdf5 {

namespace {

constexpr hsize_t kTableChunkValues = 65536;
constexpr hsize_t kMaxColumns = 65536;
constexpr int64_t kRaggedRowsAtATime = 1024;
constexpr size_t kMaxChunkCache = size_t{64} << 20;

// Filters that the library itself has; others would be loaded from wherever the environment says.
void check_filters(hid_t creation, const std::filesystem::path& path, const std::string& name) {
  for (int i = 0; i < H5Pget_nfilters(creation); ++i) {
    unsigned flags = 0, config = 0;
    size_t parameters = 0;
    std::array<char, 64> text{};
    const H5Z_filter_t filter =
        H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &parameters, nullptr, text.size(), text.data(), &config);
    MPIBERT_CHECK(filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE || filter == H5Z_FILTER_FLETCHER32, kCorrupt, path.string(),
                  ": dataset ", name, " is packed with filter ", filter, " (", text.data(),
                  "), expected gzip or none; repack it: h5repack -f GZIP=4 FILE NEW_FILE");
  }
}

// Chunks of other programs may be parts of rows (h5py chooses such). The cache holds a band of them as wide as a row, so that each is
// unpacked once.
size_t band_bytes(hid_t creation, std::span<const hsize_t> extent, int64_t bytes_of_value) {
  if (H5Pget_layout(creation) != H5D_CHUNKED) return 0;
  std::array<hsize_t, 2> chunk{1, 1};
  if (H5Pget_chunk(creation, static_cast<int>(extent.size()), chunk.data()) != static_cast<int>(extent.size())) return 0;
  const hsize_t columns = extent.size() == 2 ? (extent[1] + chunk[1] - 1) / chunk[1] * chunk[1] : 1;
  const hsize_t rows = std::min(chunk[0], hsize_t{kMaxChunkCache});
  return std::min<size_t>(kMaxChunkCache, static_cast<size_t>(rows * columns) * static_cast<size_t>(bytes_of_value));
}

Type table_type(hid_t type, const std::filesystem::path& path, const std::string& name) {
  MPIBERT_CHECK(H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) <= 4 && (H5Tget_size(type) < 4 || H5Tget_sign(type) == H5T_SGN_2),
                kCorrupt, path.string(), ": dataset ", name, " does not hold integers of at most 32 bits");
  const bool has_sign = H5Tget_sign(type) == H5T_SGN_2;
  switch (H5Tget_size(type)) {
    case 1:
      return has_sign ? Type::kInt8 : Type::kUInt8;
    case 2:
      return has_sign ? Type::kInt16 : Type::kUInt16;
    default:
      return Type::kInt32;
  }
}

Handle ragged_type(hid_t base, const std::filesystem::path& path) {
  return Handle(check(H5Tvlen_create(base), ErrorKind::kIo, path, "make a type of variable length"), close_type);
}

// `count` rows from `begin` on of a table, for H5Dread and H5Dwrite.
struct Selection {
  Handle file, memory;
};
Selection select_rows(hid_t dataset, int64_t begin, int64_t count, const std::filesystem::path& path) {
  Selection selection{.file = Handle(check(H5Dget_space(dataset), ErrorKind::kCorrupt, path, "examine a dataset"), close_space),
                      .memory = {}};
  std::array<hsize_t, 2> size{}, start{static_cast<hsize_t>(begin), 0};
  const int rank =
      check(H5Sget_simple_extent_dims(selection.file.id(), size.data(), nullptr), ErrorKind::kCorrupt, path, "examine a dataset");
  size[0] = static_cast<hsize_t>(count);
  selection.memory = Handle(check(H5Screate_simple(rank, size.data(), nullptr), ErrorKind::kIo, path, "make a data space"), close_space);
  check(H5Sselect_hyperslab(selection.file.id(), H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr), ErrorKind::kCorrupt, path,
        "select rows");
  return selection;
}

}  // namespace

std::span<const int32_t> Rows::row(int64_t i) const {
  const auto begin = static_cast<size_t>(offsets[static_cast<size_t>(i)]), end = static_cast<size_t>(offsets[static_cast<size_t>(i) + 1]);
  return std::span(values).subspan(begin, end - begin);
}

bool File::has(const std::string& name) const {
  const Session session;
  return H5Lexists(handle_.id(), name.c_str(), H5P_DEFAULT) > 0;
}

Table File::open_table(const std::string& name) const {
  const Session session;
  check_link(handle_.id(), path_, name);
  Table table;
  table.path_ = path_;
  table.name_ = name;
  table.handle_ =
      Handle(check(H5Dopen2(handle_.id(), name.c_str(), H5P_DEFAULT), ErrorKind::kCorrupt, path_, "open dataset " + name), close_dataset);
  const Handle space(check(H5Dget_space(table.handle_.id()), ErrorKind::kCorrupt, path_, "examine dataset " + name), close_space);
  const int rank = H5Sget_simple_extent_ndims(space.id());
  MPIBERT_CHECK(rank == 1 || rank == 2, kCorrupt, path_.string(), ": dataset ", name, " has ", rank, " dimensions, expected 1 or 2");
  std::array<hsize_t, 2> size{0, 1};
  check(H5Sget_simple_extent_dims(space.id(), size.data(), nullptr), ErrorKind::kCorrupt, path_, "examine dataset " + name);
  MPIBERT_CHECK(size[0] < (hsize_t{1} << 40) && size[1] > 0 && size[1] <= kMaxColumns, kCorrupt, path_.string(), ": dataset ", name,
                " claims ", size[0], " rows of ", size[1]);
  table.rows_ = static_cast<int64_t>(size[0]);
  table.columns_ = static_cast<int64_t>(size[1]);
  table.is_matrix_ = rank == 2;

  const Handle creation(check(H5Dget_create_plist(table.handle_.id()), ErrorKind::kCorrupt, path_, "examine dataset " + name), close_list);
  MPIBERT_CHECK(H5Pget_layout(creation.id()) != H5D_VIRTUAL && H5Pget_external_count(creation.id()) == 0, kCorrupt, path_.string(),
                ": dataset ", name, " lies in another file");
  check_filters(creation.id(), path_, name);
  const Handle type(check(H5Dget_type(table.handle_.id()), ErrorKind::kCorrupt, path_, "examine dataset " + name), close_type);
  if (H5Tget_class(type.id()) == H5T_VLEN) {
    MPIBERT_CHECK(rank == 1 && H5Pget_layout(creation.id()) == H5D_CONTIGUOUS, kCorrupt, path_.string(), ": dataset ", name,
                  " has rows of variable length in chunks, expected one piece; rewrite it: h5repack -l CONTI FILE NEW_FILE");
    const Handle base(check(H5Tget_super(type.id()), ErrorKind::kCorrupt, path_, "examine dataset " + name), close_type);
    table.open_ragged(base.id());
    return table;
  }
  table.type_ = table_type(type.id(), path_, name);
  const Handle access = make_list(H5P_DATASET_ACCESS, path_);
  check(H5Pset_chunk_cache(access.id(), 12289,
                           band_bytes(creation.id(), std::span(size).first(static_cast<size_t>(rank)), bytes_of(table.type_)), 1.0),
        ErrorKind::kIo, path_, "choose the chunk cache");
  table.handle_.reset();
  table.handle_ =
      Handle(check(H5Dopen2(handle_.id(), name.c_str(), access.id()), ErrorKind::kCorrupt, path_, "open dataset " + name), close_dataset);
  return table;
}

Rows Table::read(int64_t begin, int64_t end) const {
  MPIBERT_CHECK(begin >= 0 && begin <= end && end <= rows_, kInvalidArgument, path_.string(), ": rows ", begin, " to ", end, " of dataset ",
                name_, " of ", rows_);
  Rows rows;
  if (begin == end) return rows;
  if (columns_ == 0) return read_ragged(begin, end);
  const Session session;
  const Selection selection = select_rows(handle_.id(), begin, end - begin, path_);
  const std::string what = str_cat("read rows ", begin, " to ", end, " of dataset ", name_, " (damaged; copy the file again)");
  rows.values.resize(static_cast<size_t>((end - begin) * columns_));
  check(H5Dread(handle_.id(), H5T_NATIVE_INT32, selection.memory.id(), selection.file.id(), H5P_DEFAULT, rows.values.data()),
        ErrorKind::kCorrupt, path_, what);
  for (int64_t i = begin; i < end; ++i) rows.offsets.push_back(rows.offsets.back() + columns_);
  return rows;
}

void Table::open_ragged(int64_t base_type) {
  columns_ = 0;
  type_ = table_type(base_type, path_, name_);
  MPIBERT_CHECK(H5Tequal(base_type, stored_type(type_)) > 0, kCorrupt, path_.string(), ": dataset ", name_,
                " does not hold little-endian integers");
  const Handle file(check(H5Iget_file_id(handle_.id()), ErrorKind::kCorrupt, path_, "examine the file"), close_file);
  const Handle creation(check(H5Fget_create_plist(file.id()), ErrorKind::kCorrupt, path_, "examine the file"), close_list);
  size_t address_bytes = 0, size_bytes = 0;
  hsize_t user_block = 0;
  check(H5Pget_sizes(creation.id(), &address_bytes, &size_bytes), ErrorKind::kCorrupt, path_, "examine the file");
  check(H5Pget_userblock(creation.id(), &user_block), ErrorKind::kCorrupt, path_, "examine the file");
  MPIBERT_CHECK(address_bytes == 8 && size_bytes == 8 && user_block == 0, kCorrupt, path_.string(), ": addresses of ", address_bytes,
                " bytes, sizes of ", size_bytes, " and a user block of ", user_block, ", expected 8, 8 and none");
  const haddr_t offset = H5Dget_offset(handle_.id());
  MPIBERT_CHECK(offset != HADDR_UNDEF || rows_ == 0, kCorrupt, path_.string(), ": dataset ", name_, " has no row written");
  references_ = offset;
  heap_ = std::make_unique<GlobalHeap>(path_);
}

namespace {

template <class Stored>
void append_values(const std::string& bytes, std::vector<int32_t>& values) {
  for (size_t place = 0; place < bytes.size(); place += sizeof(Stored)) {
    Stored value = 0;
    std::memcpy(&value, bytes.data() + place, sizeof(value));
    values.push_back(value);
  }
}

}  // namespace

Rows Table::read_ragged(int64_t begin, int64_t end) const {
  Rows rows;
  const uint64_t offset = references_ + static_cast<uint64_t>(begin) * GlobalHeap::kReferenceBytes;
  for (const std::string& bytes : heap_->read_rows(offset, end - begin, bytes_of(type_), path_.string() + ": dataset " + name_, begin)) {
    switch (type_) {
      case Type::kInt8:
        append_values<int8_t>(bytes, rows.values);
        break;
      case Type::kUInt8:
        append_values<uint8_t>(bytes, rows.values);
        break;
      case Type::kInt16:
        append_values<int16_t>(bytes, rows.values);
        break;
      case Type::kUInt16:
        append_values<uint16_t>(bytes, rows.values);
        break;
      default:
        append_values<int32_t>(bytes, rows.values);
    }
    rows.offsets.push_back(std::ssize(rows.values));
  }
  return rows;
}

void File::write_table(const std::string& name, Type type, int64_t rows, std::optional<int64_t> columns, int gzip,
                       const std::function<std::vector<int32_t>(int64_t begin, int64_t end)>& values) {
  const Session session;
  const int rank = columns ? 2 : 1;
  const hsize_t width = static_cast<hsize_t>(columns.value_or(1));
  const std::array<hsize_t, 2> size{static_cast<hsize_t>(rows), width},
      chunk{std::clamp<hsize_t>(kTableChunkValues / width, 1, std::max<hsize_t>(size[0], 1)), width};
  const Handle space(check(H5Screate_simple(rank, size.data(), nullptr), ErrorKind::kIo, path_, "make a data space"), close_space);
  const Handle creation = make_list(H5P_DATASET_CREATE, path_);
  check(H5Pset_obj_track_times(creation.id(), false), ErrorKind::kIo, path_, "switch off times");
  if (gzip > 0) {
    check(H5Pset_chunk(creation.id(), rank, chunk.data()), ErrorKind::kIo, path_, "choose the chunks");
    check(H5Pset_fill_time(creation.id(), H5D_FILL_TIME_ALLOC), ErrorKind::kIo, path_, "fill the last chunk");
    check(H5Pset_deflate(creation.id(), static_cast<unsigned>(gzip)), ErrorKind::kIo, path_, "switch on gzip");
  }
  const Handle dataset(check(H5Dcreate2(handle_.id(), name.c_str(), stored_type(type), space.id(), H5P_DEFAULT, creation.id(), H5P_DEFAULT),
                             ErrorKind::kIo, path_, "create dataset " + name),
                       close_dataset);
  for (int64_t begin = 0; begin < rows; begin += static_cast<int64_t>(chunk[0])) {
    const int64_t end = std::min(rows, begin + static_cast<int64_t>(chunk[0]));
    const std::vector<int32_t> block = values(begin, end);
    MPIBERT_ASSERT(block.size() == static_cast<size_t>(end - begin) * width);
    const Selection selection = select_rows(dataset.id(), begin, end - begin, path_);
    check(H5Dwrite(dataset.id(), H5T_NATIVE_INT32, selection.memory.id(), selection.file.id(), H5P_DEFAULT, block.data()), ErrorKind::kIo,
          path_, "write dataset " + name + "; is the disk full?");
  }
}

void File::write_ragged_table(const std::string& name, Type type, int64_t rows,
                              const std::function<std::span<const int32_t>(int64_t row)>& values) {
  const Session session;
  const hsize_t size = static_cast<hsize_t>(rows);
  const Handle space(check(H5Screate_simple(1, &size, nullptr), ErrorKind::kIo, path_, "make a data space"), close_space);
  const Handle creation = make_list(H5P_DATASET_CREATE, path_);
  check(H5Pset_obj_track_times(creation.id(), false), ErrorKind::kIo, path_, "switch off times");
  const Handle in_file = ragged_type(stored_type(type), path_), in_memory = ragged_type(H5T_NATIVE_INT32, path_);
  const Handle dataset(check(H5Dcreate2(handle_.id(), name.c_str(), in_file.id(), space.id(), H5P_DEFAULT, creation.id(), H5P_DEFAULT),
                             ErrorKind::kIo, path_, "create dataset " + name),
                       close_dataset);
  for (int64_t begin = 0; begin < rows; begin += kRaggedRowsAtATime) {
    const int64_t end = std::min(rows, begin + kRaggedRowsAtATime);
    std::vector<hvl_t> parts;
    for (int64_t row = begin; row < end; ++row) {
      const std::span<const int32_t> part = values(row);
      parts.push_back({.len = part.size(), .p = const_cast<int32_t*>(part.data())});  // of hvl_t, which is for reading too
    }
    const Selection selection = select_rows(dataset.id(), begin, end - begin, path_);
    check(H5Dwrite(dataset.id(), in_memory.id(), selection.memory.id(), selection.file.id(), H5P_DEFAULT, parts.data()), ErrorKind::kIo,
          path_, "write dataset " + name + "; is the disk full?");
  }
}

}  // namespace mpibert::hdf5
