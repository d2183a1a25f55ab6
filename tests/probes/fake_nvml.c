/* A stand-in for libnvidia-ml.so.1, so that the real ctypes binding is tested on a machine without a GPU.

   Each call reads its answer anew from the environment. A value "file:PATH" is read from that file, so
   that a test can change it under a running sampler (replace the file, never write into it).

   FAKE_NVML_COUNT      GPUs, at most 8 (default 1)
   FAKE_NVML_TOTAL      bytes (default 16 GiB)
   FAKE_NVML_USED       bytes used on GPU 0; GPU i uses i GiB more (default 1 GiB)
   FAKE_NVML_PROCESSES  "PID:BYTES,..."; PID may be "self", BYTES may be "na" (default "self:536870912")
                        (self is listed once memory was asked for: a probe starts before it has a context)
   FAKE_NVML_SHARES     "PID:PER CENT,...", of the multiprocessors, since ever (default none)
   FAKE_NVML_POWER_MW   what the energy counter integrates (default 250000)
   FAKE_NVML_MIG        1: GPU i has one instance, MIG-00000000-...-i, whose processes have no memory
   FAKE_NVML_FAIL       "FUNCTION:CODE,...": that function returns that nvmlReturn_t

   Built with -DOLD_DRIVER it lacks nvmlDeviceGetMemoryInfo_v2. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, VERSION_MISMATCH = 25 };
enum { GPUS = 8, CLOCK_SM = 1 };
static const unsigned long long RESERVED = 300ULL << 20, GIB = 1ULL << 30;

struct device { unsigned index; int mig; };
struct memory { unsigned long long total, free, used; };
struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };
struct process { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; };
_Static_assert(sizeof(struct memory_v2) == 0x28, "nvmlMemory_v2_t");
_Static_assert(sizeof(struct process) == 24, "nvmlProcessInfo_t");

/* For the tests: each successful init wants one shutdown; reads says how often a sampler looked. */
int fake_nvml_inits, fake_nvml_shutdowns, fake_nvml_memory_reads;

static struct device gpus[GPUS], instances[GPUS];

static const char *setting(const char *name, const char *otherwise, char *text, size_t size) {
  const char *value = getenv(name);
  FILE *file;
  size_t length;
  if (!value || strncmp(value, "file:", 5)) return value ? value : otherwise;
  if (!(file = fopen(value + 5, "r"))) return otherwise;
  length = fread(text, 1, size - 1, file);
  fclose(file);
  text[length] = 0;
  return text;
}

static unsigned long long number(const char *name, unsigned long long otherwise) {
  char text[64];
  const char *value = setting(name, NULL, text, sizeof text);
  return value ? strtoull(value, NULL, 0) : otherwise;
}

/* The code injected for this function, whole name only; else whether NVML is initialized. */
static int refusal(const char *function) {
  char text[512];
  const char *entry = setting("FAKE_NVML_FAIL", "", text, sizeof text);
  size_t length = strlen(function);
  for (; entry; entry = strchr(entry, ',')) {
    entry += *entry == ',';
    if (!strncmp(entry, function, length) && entry[length] == ':') return atoi(entry + length + 1);
  }
  return fake_nvml_inits > fake_nvml_shutdowns || !strcmp(function, "nvmlInitWithFlags") ? SUCCESS : UNINITIALIZED;
}
#define ANSWER_OR_REFUSE do { int code_ = refusal(__func__); if (code_) return code_; } while (0)

static unsigned long long used(const struct device *device) {
  return number("FAKE_NVML_USED", GIB) + device->index * GIB;
}

/* pynvml initializes by the first of these, torch by the third. */
static int asked_for_memory, asked_at_init;
int nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  ANSWER_OR_REFUSE;
  if (fake_nvml_inits++ == fake_nvml_shutdowns) asked_at_init = asked_for_memory;
  return SUCCESS;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlInit(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { ANSWER_OR_REFUSE; fake_nvml_shutdowns++; return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the fake"; }

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
  ANSWER_OR_REFUSE;
  snprintf(text, size, "999.01");
  return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
  ANSWER_OR_REFUSE;
  *count = number("FAKE_NVML_COUNT", 1);
  return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **device) {
  ANSWER_OR_REFUSE;
  if (index >= GPUS || index >= number("FAKE_NVML_COUNT", 1)) return INVALID_ARGUMENT;
  gpus[index].index = index;
  *device = &gpus[index];
  return SUCCESS;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, struct device **device) {
  unsigned index;
  int mig = !strncmp(uuid, "MIG-", 4);
  ANSWER_OR_REFUSE;
  if (!mig && strncmp(uuid, "GPU-", 4)) return INVALID_ARGUMENT; /* a bare UUID is no UUID to NVML */
  if (sscanf(uuid + 4, "00000000-0000-0000-0000-%12u", &index) != 1) return NOT_FOUND;
  if (index >= GPUS || index >= number("FAKE_NVML_COUNT", 1)) return NOT_FOUND;
  if (mig != (int)number("FAKE_NVML_MIG", 0)) return NOT_FOUND;
  *device = mig ? &instances[index] : &gpus[index];
  (*device)->index = index;
  (*device)->mig = mig;
  return SUCCESS;
}

int nvmlDeviceIsMigDeviceHandle(struct device *device, unsigned *mig) {
  ANSWER_OR_REFUSE;
  *mig = device->mig;
  return SUCCESS;
}

int nvmlDeviceGetUUID(struct device *device, char *text, unsigned size) {
  ANSWER_OR_REFUSE;
  snprintf(text, size, "GPU-00000000-0000-0000-0000-%012u", device->index);
  return SUCCESS;
}

int nvmlDeviceGetName(struct device *device, char *text, unsigned size) {
  ANSWER_OR_REFUSE;
  snprintf(text, size, "Fake GPU %u", device->index);
  return SUCCESS;
}

/* The first version's `used` has the driver's reserve in it. */
int nvmlDeviceGetMemoryInfo(struct device *device, struct memory *memory) {
  __atomic_add_fetch(&asked_for_memory, 1, __ATOMIC_SEQ_CST);
  ANSWER_OR_REFUSE;
  memory->total = number("FAKE_NVML_TOTAL", 16 * GIB);
  memory->used = used(device) + RESERVED;
  memory->free = memory->total - memory->used;
  __atomic_add_fetch(&fake_nvml_memory_reads, 1, __ATOMIC_SEQ_CST);
  return SUCCESS;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(struct device *device, struct memory_v2 *memory) {
  __atomic_add_fetch(&asked_for_memory, 1, __ATOMIC_SEQ_CST);
  ANSWER_OR_REFUSE;
  if (memory->version != (sizeof *memory | 2u << 24)) return VERSION_MISMATCH;
  memory->total = number("FAKE_NVML_TOTAL", 16 * GIB);
  memory->reserved = RESERVED;
  memory->used = used(device);
  memory->free = memory->total - memory->reserved - memory->used;
  __atomic_add_fetch(&fake_nvml_memory_reads, 1, __ATOMIC_SEQ_CST);
  return SUCCESS;
}
#endif

/* As the real one: no array, or one too small, is answered with the number of processes there are. */
int nvmlDeviceGetComputeRunningProcesses_v3(struct device *device, unsigned *count, struct process *processes) {
  char text[512];
  const char *entry = setting("FAKE_NVML_PROCESSES", "self:536870912", text, sizeof text), *bytes;
  unsigned found = 0, room = processes ? *count : 0;
  ANSWER_OR_REFUSE;
  for (; entry && *entry; entry = strchr(entry, ',')) {
    entry += *entry == ',';
    if (!(bytes = strchr(entry, ':'))) break;
    if (!strncmp(entry, "self", 4) && asked_for_memory == asked_at_init) continue;
    if (found < room) {
      struct process *process = &processes[found];
      process->pid = strncmp(entry, "self", 4) ? (unsigned)atoi(entry) : (unsigned)getpid();
      process->used = device->mig || !strncmp(bytes + 1, "na", 2) ? ~0ULL : strtoull(bytes + 1, NULL, 0);
      process->gpu_instance = process->compute_instance = ~0u;
    }
    found++;
  }
  *count = found;
  return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}

/* As the real one: what is not newer than the last seen is left out, and nothing at all is "not found". */
struct utilization { unsigned pid; unsigned long long at; unsigned sm, memory, encoder, decoder; };
int nvmlDeviceGetProcessUtilization(struct device *device, struct utilization *samples, unsigned *count, unsigned long long seen) {
  char text[512];
  const char *entry = setting("FAKE_NVML_SHARES", "", text, sizeof text), *share;
  unsigned found = 0, room = samples ? *count : 0;
  struct timespec now;
  ANSWER_OR_REFUSE;
  (void)device;
  clock_gettime(CLOCK_REALTIME, &now);
  for (; entry && *entry; entry = strchr(entry, ',')) {
    entry += *entry == ',';
    if (!(share = strchr(entry, ':'))) break;
    if (found < room) {
      samples[found].pid = strncmp(entry, "self", 4) ? (unsigned)atoi(entry) : (unsigned)getpid();
      samples[found].at = now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
      samples[found].sm = atoi(share + 1);
    }
    found++;
  }
  if (!found || seen > now.tv_sec * 1000000ULL + now.tv_nsec / 1000) return NOT_FOUND;
  *count = found;
  return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}

/* Moves every 20 ms, as a counter of the hardware does, and answers for the whole GPU under MIG too. */
int nvmlDeviceGetTotalEnergyConsumption(struct device *device, unsigned long long *millijoules) {
  struct timespec now;
  ANSWER_OR_REFUSE;
  (void)device;
  clock_gettime(CLOCK_MONOTONIC, &now);
  unsigned long long ticks = now.tv_sec * 50ULL + now.tv_nsec / 20000000;
  *millijoules = ticks * number("FAKE_NVML_POWER_MW", 250000) / 50;
  return SUCCESS;
}

int nvmlDeviceGetEnforcedPowerLimit(struct device *device, unsigned *milliwatts) {
  ANSWER_OR_REFUSE;
  (void)device;
  *milliwatts = 400000;
  return SUCCESS;
}

int nvmlDeviceGetClockInfo(struct device *device, unsigned type, unsigned *megahertz) {
  ANSWER_OR_REFUSE;
  (void)device;
  *megahertz = 345;
  return type == CLOCK_SM ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlDeviceGetMaxClockInfo(struct device *device, unsigned type, unsigned *megahertz) {
  ANSWER_OR_REFUSE;
  (void)device;
  *megahertz = 1980;
  return type == CLOCK_SM ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlDeviceGetCurrentClocksEventReasons(struct device *device, unsigned long long *reasons) {
  ANSWER_OR_REFUSE;
  (void)device;
  *reasons = 0x4; /* software power cap */
  return SUCCESS;
}
