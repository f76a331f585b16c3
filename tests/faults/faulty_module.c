/* A PKCS#11 module that goes wrong at one chosen call, and is a real module otherwise.
 *
 * It loads the module named by FAULTY_MODULE and stands before each of the 68 functions of PKCS#11 2.40. What it counts
 * and what it is to do lies in the file named by FAULTY_STATE, which every process maps: a kiosk has several token
 * processes in one visit, and the calls of all of them have one numbering.
 *
 * It shows one slot. In it is the token of the first serial number; in its place, once told so, that of the second.
 *
 * No header of PKCS#11 is needed: every argument is one word, and a function that is given more words than it takes
 * does not look at them (the calling conventions of x86-64 and of aarch64).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef unsigned long word;
typedef word function(word, word, word, word, word, word, word, word);

#define FUNCTIONS(F) \
    F(Initialize) F(Finalize) F(GetInfo) F(GetFunctionList) F(GetSlotList) F(GetSlotInfo) F(GetTokenInfo) \
    F(GetMechanismList) F(GetMechanismInfo) F(InitToken) F(InitPIN) F(SetPIN) F(OpenSession) F(CloseSession) \
    F(CloseAllSessions) F(GetSessionInfo) F(GetOperationState) F(SetOperationState) F(Login) F(Logout) \
    F(CreateObject) F(CopyObject) F(DestroyObject) F(GetObjectSize) F(GetAttributeValue) F(SetAttributeValue) \
    F(FindObjectsInit) F(FindObjects) F(FindObjectsFinal) F(EncryptInit) F(Encrypt) F(EncryptUpdate) \
    F(EncryptFinal) F(DecryptInit) F(Decrypt) F(DecryptUpdate) F(DecryptFinal) F(DigestInit) F(Digest) \
    F(DigestUpdate) F(DigestKey) F(DigestFinal) F(SignInit) F(Sign) F(SignUpdate) F(SignFinal) F(SignRecoverInit) \
    F(SignRecover) F(VerifyInit) F(Verify) F(VerifyUpdate) F(VerifyFinal) F(VerifyRecoverInit) F(VerifyRecover) \
    F(DigestEncryptUpdate) F(DecryptDigestUpdate) F(SignEncryptUpdate) F(DecryptVerifyUpdate) F(GenerateKey) \
    F(GenerateKeyPair) F(WrapKey) F(UnwrapKey) F(DeriveKey) F(SeedRandom) F(GenerateRandom) F(GetFunctionStatus) \
    F(CancelFunction) F(WaitForSlotEvent)

#define NUMBER(name) name,
enum { FUNCTIONS(NUMBER) COUNT };

struct list {
    unsigned char version[2];
    function *functions[COUNT];
};

enum fault { NONE, REMOVED, RETURNED, ANOTHER, GENERAL_ERROR, DEVICE_MEMORY, PIN_LOCKED, HANG, CRASH, GENERAL_ERROR_AFTER };

enum { OK = 0, SAYS_GENERAL_ERROR = 5, SAYS_DEVICE_MEMORY = 0x31, SAYS_DEVICE_REMOVED = 0x32, SAYS_PIN_LOCKED = 0xA4,
       SAYS_BUFFER_TOO_SMALL = 0x150 };
enum { SLOT = 1, TOKEN_PRESENT = 1, REMOVABLE_DEVICE = 2 };
enum { SERIAL_AT = 80, SERIAL_SIZE = 16, SLOT_FLAGS_AT = 96, TOKEN_INFO_SIZE = 208, MOST_SLOTS = 64, LOGGED = 1 << 14 };

/* tests/faults/faulty_module.py reads and writes this by the same offsets. */
struct state {
    uint32_t calls;   /* so far, by every process */
    uint32_t at;      /* the number of the call that is struck; 0 for none */
    uint32_t fault;
    uint32_t struck;  /* whether it was */
    uint32_t place;   /* where the visit is; told by the test, and kept with each call */
    uint32_t absent;  /* the token is out */
    uint32_t other;   /* the other token is in */
    uint32_t removals;
    uint32_t full;
    uint32_t locked;
    char serials[2][SERIAL_SIZE];
    struct { uint16_t function, place; uint32_t process; } log[LOGGED];
};

static struct state *state;
static struct list *real;
static uint32_t removals_seen;

static word real_slot(void) {
    word slots[MOST_SLOTS], count = MOST_SLOTS, slot;
    char info[2 * TOKEN_INFO_SIZE];
    if (real->functions[GetSlotList](1, (word)slots, (word)&count, 0, 0, 0, 0, 0) != OK) return (word)-1;
    for (slot = 0; slot < count; slot++) {
        if (real->functions[GetTokenInfo](slots[slot], (word)info, 0, 0, 0, 0, 0, 0) != OK) continue;
        if (!memcmp(info + SERIAL_AT, state->serials[state->other], SERIAL_SIZE)) return slots[slot];
    }
    return (word)-1;
}

/* What a removal does to a process that has sessions: they are gone, also when a token is in again. */
static void notice_removals(void) {
    word slots[MOST_SLOTS], count = MOST_SLOTS, slot;
    if (removals_seen == state->removals) return;
    removals_seen = state->removals;
    if (real->functions[GetSlotList](1, (word)slots, (word)&count, 0, 0, 0, 0, 0) != OK) return;
    for (slot = 0; slot < count; slot++) real->functions[CloseAllSessions](slots[slot], 0, 0, 0, 0, 0, 0, 0);
}

static word list_slots(word token_present, word *slots, word *count) {
    word none = 0, said = real->functions[GetSlotList](0, 0, (word)&none, 0, 0, 0, 0, 0);
    word found = !(token_present & 0xff) || !state->absent;
    if (said != OK) return said;
    if (state->absent && (token_present & 0xff) && state->fault == RETURNED) state->absent = 0; /* was seen to be out */
    if (slots && *count < found) return SAYS_BUFFER_TOO_SMALL;
    if (slots && found) slots[0] = SLOT;
    *count = found;
    return OK;
}

static word tell_slot(word id, char *info) {
    word flags, said = real->functions[GetSlotInfo](real_slot(), (word)info, 0, 0, 0, 0, 0, 0);
    if (id != SLOT || said != OK) return said;
    memcpy(&flags, info + SLOT_FLAGS_AT, sizeof flags);
    flags = (flags & ~(word)TOKEN_PRESENT) | REMOVABLE_DEVICE | (state->absent ? 0 : TOKEN_PRESENT);
    memcpy(info + SLOT_FLAGS_AT, &flags, sizeof flags);
    return OK;
}

static int of_slot(int called) {
    return called == GetTokenInfo || called == GetMechanismList || called == GetMechanismInfo || called == InitToken
        || called == OpenSession || called == CloseAllSessions;
}

static int of_module(int called) {
    return called == Initialize || called == Finalize || called == GetInfo || called == GetFunctionList;
}

static int makes_objects(int called) {
    return called == CreateObject || called == CopyObject || called == GenerateKey || called == GenerateKeyPair;
}

static word carry_out(int called, word a, word b, word c, word d, word e, word f, word g, word h) {
    if (of_module(called)) return real->functions[called](a, b, c, d, e, f, g, h);
    notice_removals();
    if (called == GetSlotList) return list_slots(a, (word *)b, (word *)c);
    if (called == GetSlotInfo) return tell_slot(a, (char *)b);
    if (state->absent) return SAYS_DEVICE_REMOVED;
    if (state->full && makes_objects(called)) return SAYS_DEVICE_MEMORY;
    if (state->locked && called == Login) return SAYS_PIN_LOCKED;
    return real->functions[called](of_slot(called) && a == SLOT ? real_slot() : a, b, c, d, e, f, g, h);
}

/* Whether the call ends here, and with what. */
static int strike(int called, word *says) {
    switch (state->fault) {
        case REMOVED:
        case RETURNED:
            state->absent = 1;
            state->removals++;
            return 0;
        case ANOTHER:
            state->other = 1;
            state->removals++;
            return 0;
        case DEVICE_MEMORY:
            state->full = makes_objects(called);
            *says = SAYS_DEVICE_MEMORY;
            return 1;
        case PIN_LOCKED:
            state->locked = called == Login;
            *says = SAYS_PIN_LOCKED;
            return 1;
        case GENERAL_ERROR:
            *says = SAYS_GENERAL_ERROR;
            return 1;
        case HANG:
            for (;;) pause();
        case CRASH:
            abort();
        default:
            return 0;
    }
}

static word call(int called, word a, word b, word c, word d, word e, word f, word g, word h) {
    uint32_t number = __atomic_add_fetch(&state->calls, 1, __ATOMIC_SEQ_CST);
    word says;
    if (number <= LOGGED) {
        state->log[number - 1].function = called;
        state->log[number - 1].place = state->place;
        state->log[number - 1].process = getpid();
    }
    if (number != state->at) return carry_out(called, a, b, c, d, e, f, g, h);
    state->struck = 1;
    if (strike(called, &says)) return says;
    says = carry_out(called, a, b, c, d, e, f, g, h);
    return state->fault == GENERAL_ERROR_AFTER ? SAYS_GENERAL_ERROR : says;
}

#define WRAPPER(name) \
    static word before_##name(word a, word b, word c, word d, word e, word f, word g, word h) { \
        return call(name, a, b, c, d, e, f, g, h); \
    }
FUNCTIONS(WRAPPER)

#define PLACE(name) before_##name,
static struct list ours = {{2, 40}, {FUNCTIONS(PLACE)}};

static int load(void) {
    const char *module = getenv("FAULTY_MODULE"), *file = getenv("FAULTY_STATE");
    void *library = module ? dlopen(module, RTLD_NOW) : NULL;
    int opened = file ? open(file, O_RDWR) : -1;
    word (*get)(struct list **);
    if (!library || opened < 0) return 0;
    state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
    close(opened);
    get = (word (*)(struct list **))dlsym(library, "C_GetFunctionList");
    if (state == MAP_FAILED || !get || get(&real) != OK) return 0;
    removals_seen = state->removals;
    return 1;
}

static word give_list(word to, word b, word c, word d, word e, word f, word g, word h) {
    *(struct list **)to = &ours;
    return OK;
}

word C_GetFunctionList(struct list **to) {
    static struct list *kept;
    if (!real && !load()) return SAYS_GENERAL_ERROR;
    if (!kept) {
        kept = malloc(sizeof *kept); /* as the real one, but that its C_GetFunctionList gives ours */
        *kept = *real;
        kept->functions[GetFunctionList] = give_list;
        real = kept;
    }
    return call(GetFunctionList, (word)to, 0, 0, 0, 0, 0, 0, 0);
}
